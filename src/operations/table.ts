import {
  appsOperation,
  domainsAddOperation,
  domainsOperation,
  domainsRemoveOperation,
  psOperation,
  removeOperation,
  statusOperation,
  stopOperation,
} from "./apps.ts";
import { dataAccessOperation, dataReplicateOperation, dataStatusOperation } from "./data.ts";
import { incomingOperation, registerAppOperation, restartAppOperation, restartOperation } from "./deploy.ts";
import { doctorOperation } from "./doctor.ts";
import { limitsOperation } from "./limits.ts";
import { logsOperation } from "./logs.ts";
import type { Operation } from "./operation.ts";
import { releasesOperation } from "./releases.ts";
import { reloadOperation } from "./reload.ts";
import {
  runInputOperation,
  runOperation,
  runResizeOperation,
  runSignalOperation,
  runTakenOperation,
} from "./run.ts";

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
    limitsOperation,
    logsOperation,
    domainsOperation,
    domainsAddOperation,
    domainsRemoveOperation,
    removeOperation,
    stopOperation,
    runOperation,
    runInputOperation,
    runTakenOperation,
    runResizeOperation,
    runSignalOperation,
    releasesOperation,
    reloadOperation,
    dataStatusOperation,
    dataReplicateOperation,
    dataAccessOperation,
    doctorOperation,
  ].map((operation) => [operation.name, operation]),
);
