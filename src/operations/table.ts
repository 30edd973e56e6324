import { appsOperation, psOperation, removeOperation, statusOperation, stopOperation } from "./apps.ts";
import { auditOperation } from "./audit.ts";
import { buildsCancelOperation, buildsOperation } from "./builds.ts";
import { configOperation, configSetOperation, configUnsetOperation } from "./config.ts";
import { dataAccessOperation, dataReplicateOperation, dataStatusOperation } from "./data.ts";
import { incomingOperation, registerAppOperation, restartAppOperation, restartOperation } from "./deploy.ts";
import { doctorOperation } from "./doctor.ts";
import { domainsAddOperation, domainsOperation, domainsRemoveOperation } from "./domains.ts";
import { keysAddOperation, keysOperation, keysRemoveOperation } from "./keys.ts";
import { limitsOperation } from "./limits.ts";
import { logsOperation } from "./logs.ts";
import { maintenanceOffOperation, maintenanceOnOperation, pauseOperation, resumeOperation } from "./mode.ts";
import type { Operation } from "./operation.ts";
import { releasesOperation, rollbackOperation } from "./releases.ts";
import { reloadOperation } from "./reload.ts";
import {
  runInputOperation,
  runOperation,
  runResizeOperation,
  runSignalOperation,
  runTakenOperation,
} from "./run.ts";
import { scaleOperation } from "./scale.ts";
import { trafficOperation } from "./traffic.ts";

/** What Maestro can do. Every door opens onto this table. */
export const operations: ReadonlyMap<string, Operation> = new Map(
  [
    incomingOperation,
    restartOperation,
    registerAppOperation,
    restartAppOperation,
    appsOperation,
    psOperation,
    statusOperation,
    trafficOperation,
    limitsOperation,
    logsOperation,
    domainsOperation,
    domainsAddOperation,
    domainsRemoveOperation,
    configOperation,
    configSetOperation,
    configUnsetOperation,
    removeOperation,
    stopOperation,
    scaleOperation,
    pauseOperation,
    resumeOperation,
    maintenanceOnOperation,
    maintenanceOffOperation,
    runOperation,
    runInputOperation,
    runTakenOperation,
    runResizeOperation,
    runSignalOperation,
    releasesOperation,
    rollbackOperation,
    buildsOperation,
    buildsCancelOperation,
    reloadOperation,
    keysOperation,
    keysAddOperation,
    keysRemoveOperation,
    auditOperation,
    dataStatusOperation,
    dataReplicateOperation,
    dataAccessOperation,
    doctorOperation,
  ].map((operation) => [operation.name, operation]),
);
