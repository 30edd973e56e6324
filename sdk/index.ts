/** Maestro from a program: deploy a directory, or call any operation of a server. */
export type {
  AppReport,
  DeployProgress,
  DeployReport,
  DoctorCheck,
  InstanceReport,
  LogLine,
  StatusReport,
} from "../src/app/reports.ts";
export type { RunReport } from "../src/app/run-reports.ts";
export { type ErrorCode, MaestroError } from "../src/errors.ts";
export { connect } from "./client.ts";
export { type DeployOptions, type DeployStep, deploy } from "./deploy.ts";
export type { CallOptions, OperationName, Operations, Session } from "./operations.ts";
export { type Run, type RunOptions, run } from "./run.ts";
