import type { Count } from "../src/app/app.ts";
import type { AuditEntry, KeyAdded, KeyReport } from "../src/app/key.ts";
import type { Limits, LimitsWritten } from "../src/app/limits.ts";
import type { CallersSignal, CallersTerminal, TerminalSize } from "../src/app/one-off.ts";
import type {
  AppReport,
  BuildReport,
  ConfigChangeReport,
  ConfigReport,
  DeployProgress,
  DeployReport,
  DoctorCheck,
  InstanceReport,
  LogLine,
  ModeReport,
  ReleasesReport,
  ReloadReport,
  ScaleReport,
  StatusReport,
} from "../src/app/reports.ts";
import type { RunOutput, RunReport, RunStarted } from "../src/app/run-reports.ts";
import type { TrafficReport } from "../src/app/traffic.ts";
import type { DataReport } from "../src/protocol/data.ts";
import type { SshHost } from "./ssh.ts";

type AppInput = { app: string };
type RunInput = { app: string; run: string };
type DomainInput = { app: string; hostname: string };
type DomainsOutput = { app: string; hostnames: string[]; stripped: string[] };

/** What a server can be asked, by name: what goes in, what comes out. */
export type Operations = {
  restart: {
    input: {
      app: string;
      hostname?: string;
      hostnames?: string[];
      wait?: boolean;
      sent?: boolean;
      commit?: string;
    };
    output: DeployReport;
  };
  incoming: { input: AppInput & { wait?: boolean; sending?: boolean }; output: { path: string } };
  apps: { input: object; output: AppReport[] };
  ps: { input: { app?: string }; output: InstanceReport[] };
  status: { input: object; output: StatusReport };
  traffic: { input: { app?: string }; output: TrafficReport };
  logs: {
    input: { app: string; lines?: number; follow?: boolean; process?: string; after?: string[] };
    output: { lines: LogLine[] };
  };
  domains: { input: AppInput; output: DomainsOutput };
  domains_add: { input: DomainInput & { stripPrefix?: boolean }; output: DomainsOutput };
  domains_remove: { input: DomainInput; output: DomainsOutput };
  config: { input: AppInput; output: ConfigReport };
  config_set: {
    input: { app: string; set: Record<string, string>; wait?: boolean };
    output: ConfigChangeReport;
  };
  config_unset: { input: { app: string; names: string[]; wait?: boolean }; output: ConfigChangeReport };
  remove: { input: { app: string; data?: boolean }; output: { app: string; removed: string[] } };
  releases: { input: { app: string; deploys?: number }; output: ReleasesReport };
  scale: { input: { app: string; counts?: Record<string, Count>; wait?: boolean }; output: ScaleReport };
  pause: { input: AppInput & { holdFor?: number }; output: ModeReport };
  resume: { input: AppInput; output: ModeReport };
  maintenance_on: { input: AppInput & { message?: string }; output: ModeReport };
  maintenance_off: { input: AppInput; output: ModeReport };
  rollback: { input: { app: string; to?: number; wait?: boolean }; output: DeployReport };
  builds: { input: { app?: string }; output: BuildReport[] };
  builds_cancel: { input: { id: string; app?: string }; output: BuildReport };
  limits: {
    input: AppInput & { limits?: LimitsWritten };
    output: { app: string; limits: Limits; notes: string[] };
  };
  keys: { input: object; output: KeyReport[] };
  keys_add: { input: { key: string; publicKey: string; apps: string[] }; output: KeyAdded };
  keys_remove: { input: { key: string }; output: { key: string } };
  audit: { input: { app?: string; entries?: number }; output: AuditEntry[] };
  reload: { input: object; output: ReloadReport };
  run: { input: { app: string; command: string[]; terminal?: CallersTerminal }; output: RunReport };
  run_input: { input: RunInput & { bytes?: string; end?: boolean }; output: { open: boolean } };
  run_taken: { input: RunInput & { bytes: number }; output: object };
  run_resize: { input: RunInput & TerminalSize; output: object };
  run_signal: { input: RunInput & { signal: CallersSignal }; output: object };
  data_status: { input: { app?: string }; output: DataReport };
  data_replicate: { input: { app?: string; to: string | null }; output: { apps: string[] } };
  data_access: { input: AppInput; output: { url: string } };
  stop: { input: { app?: string }; output: { stopped: string[] } };
  doctor: { input: object; output: { checks: DoctorCheck[] } };
};
export type OperationName = keyof Operations;

/** What a call may tell while it is under way. Aborting `signal` ends the waiting, not the work on the server. */
export type CallOptions = {
  onProgress?: (progress: DeployProgress) => void;
  onLine?: (line: LogLine) => void;
  onStarted?: (started: RunStarted) => void;
  onOutput?: (output: RunOutput) => void;
  signal?: AbortSignal;
  /**
   * Asked again, for a while, when the session is lost before the answer: for what does nothing twice. The input is read
   * anew each time.
   */
  repeat?: boolean;
};

/** A session with a server: what `connect` of client.ts gives. */
export type Session = {
  /** Rejects with an error that carries `code`, `message` and `details`. */
  call<Name extends OperationName>(
    name: Name,
    input: Operations[Name]["input"],
    options?: CallOptions,
  ): Promise<Operations[Name]["output"]>;
  close(): void;
  /** While it is still being opened: resolves when it is. */
  readonly opened?: Promise<void>;
  /** The host of a session that goes by SSH. */
  readonly ssh?: Pick<SshHost, "rsyncTarget"> | null;
};
