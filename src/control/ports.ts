import type { AppUser } from "../app/app.ts";
import type { Builder } from "../app/build.ts";
import type { Address, Exit, LaunchSpec, ReadyQuestion, RunningInstance } from "../app/instance.ts";
import type { Isolation, IsolationLevel } from "../app/isolation.ts";
import type { Limits } from "../app/limits.ts";
import type { OneOffProgram, OneOffSpec } from "../app/one-off.ts";
import type { Origin, Release } from "../app/release.ts";
import type { LogLine } from "../app/reports.ts";
import type { DataEvent, DataReport } from "../protocol/data.ts";
import type { AppRoute, DrainLimits, InFlight, RoutesChange, WorkerStatus } from "../protocol/worker.ts";

/** What the stories need from the other rooms. The composition root plugs the rooms in. */

export type NewRelease = {
  app: string;
  gid: number | null;
  above: number;
  /** The version of the app's config. */
  config: number | null;
  origin: Origin;
};

export type MadeRelease = {
  release: Release;
  fresh: boolean;
  /** What the person who deploys has to know besides. */
  notes?: readonly string[];
  /** Resolves when the release would survive a power cut. It may be started before, not pointed to. */
  stored: Promise<void>;
};

/** Code, and the immutable releases made of it. */
export type Releases = {
  prepareIncoming(app: string, gid: number | null): Promise<string>;
  /** Somebody sends to `incoming/`: it is not whole until he says so. */
  beginReceiving(app: string, by: string): Promise<void>;
  endReceiving(app: string): Promise<void>;
  /** Who sends to it, and since when; null when all that was sent is there. */
  receiving(app: string): Promise<{ by: string; since: string } | null>;
  /** The same content and config as release `latest` gives that release again, not fresh. A new one's number is above `above`. */
  make(request: NewRelease & { latest: number | null; builder: Builder }): Promise<MadeRelease>;
  /** The files of the release `of` as a new one, with another config. */
  remake(request: NewRelease & { of: number }): Promise<MadeRelease>;
  get(app: string, number: number): Promise<Release>;
  directory(app: string, number: number): string;
  /** Where the Node of a version is. */
  nodeOf(version: string): string;
  /** All releases, oldest first; for one whose record was damaged, its number and what is wrong. */
  list(app: string): Promise<(Release | { number: number; problem: string })[]>;
  /**
   * Removes what retention does not keep; never the current one or its predecessor, nor those `inUse`. `served`: the
   * latest last.
   */
  sweep(
    app: string,
    kept: {
      current: number | null;
      previous: number | null;
      served: readonly number[];
      /** Those that are in use besides. */
      inUse: readonly number[];
    },
  ): Promise<void>;
  /** Makes the tree of the next release ahead, when nobody waits for it. */
  stage(app: string): Promise<void>;
  /** Removes the releases of an app, what was sent for it, and their records. */
  removeApp(app: string): Promise<void>;
};

export type PortLease = { readonly port: number; release(): void };

/** Starts, observes and ends instances. */
export type Runner = {
  launch(spec: LaunchSpec): Promise<RunningInstance>;
  /** Starts a program that lives no longer than this controller. */
  startProgram(spec: OneOffSpec): Promise<OneOffProgram>;
  /** An instance that an earlier controller started; null when nobody can tell what it was. */
  adopt(runDirectory: string): Promise<AdoptedInstance | EndedInstance | null>;
  /** Ends the process of an instance of which only that is known. */
  endUnrecognised(runDirectory: string): Promise<void>;
  /** Throws `APP_NOT_READY` or `APP_EXITED`. */
  untilReady(question: ReadyQuestion, signal: AbortSignal): Promise<Address>;
  /** Asks it to end, and after `graceMs` ends it and all that is left of it. */
  stop(instance: RunningInstance, options: { graceMs: number; signal?: AbortSignal }): Promise<Exit>;
  /** Stops all of its processes where they are. Answers whether it could; otherwise they go on. */
  freeze(instance: RunningInstance): Promise<boolean>;
  /** They go on where they were. Of one that is not frozen, nothing happens. */
  thaw(instance: RunningInstance): Promise<void>;
  /** Limits one that runs. Throws `BAD_INPUT` when it uses more than that. */
  limit(instance: RunningInstance, limits: Limits): void;
  /** Why this machine cannot limit what it cannot, in sentences. */
  readonly unlimited: readonly string[];
  confinementOf(instance: RunningInstance): ConfinementReport;
  /** Ends and removes what is left of instances that are none of these, and takes their ports back. */
  sweep(running: readonly AdoptedInstance[]): Promise<void>;
  /** Makes apps find each other: the hostnames lead to this machine for them. */
  nameHosts(hostnames: readonly string[]): void;
  /** Gives back what it has of the kernel, when nothing runs any more. */
  close(): Promise<void>;
  leasePort(): Promise<PortLease>;
  /** Marks the port of an adopted instance as in use. */
  reservePort(port: number): PortLease;
  /** As far as it is known by now. */
  readonly isolation: Isolation;
  /** Tries what is not known yet. */
  tryIsolation(): Promise<Isolation>;
  /** The user that instances of an app really run as, given the one that it owns. */
  effectiveUser(user: AppUser | null): AppUser | null;
};

/** How an instance is confined. `memory`: bytes; null: not counted or not limited. */
export type ConfinementReport = {
  level: IsolationLevel;
  memory: { now: number | null; limit: number | null };
};

type FoundInstance = {
  key: string;
  id: string;
  app: string;
  release: number;
  port: number | null;
  output: LaunchSpec["output"];
};

/** An instance that runs since an earlier controller. */
export type AdoptedInstance = FoundInstance & { running: RunningInstance; startedAt: string };

/** An instance that ended while there was no controller. `leftBehind`: its orphans, to be stopped; null: none. */
export type EndedInstance = FoundInstance & {
  ended: Exit;
  /** ISO 8601; null when it is not known. */
  endedAt: string | null;
  leftBehind: RunningInstance | null;
};

export type LogRequest = {
  app: string;
  /** How many earlier lines. */
  lines: number;
  processType?: string | undefined;
  /** To follow on from: the cursors of lines that have been seen, instead of earlier lines. */
  after?: readonly string[];
};

/** What the instances wrote. */
export type Logs = {
  /** The files for the output of a new instance. `file` is unique among all instances of the app. */
  outputOf(app: string, file: string): LaunchSpec["output"];
  /** The last lines of all instances, in the order of time. */
  recent(request: LogRequest): Promise<LogLine[]>;
  /** Earlier lines, then every line that comes, of instances that start later too, until the signal. */
  follow(request: LogRequest, onLine: (line: LogLine) => void, signal: AbortSignal): Promise<void>;
  /** Each line that an instance writes, told as it comes; resolves when it has ended and all was told. */
  followOutput(
    output: LaunchSpec["output"],
    onLine: (text: string) => void,
    ended: Promise<unknown>,
  ): Promise<void>;
  /** Standard output's, then standard error's. */
  lastLines(output: LaunchSpec["output"], count: number): Promise<string[]>;
  /** Removes the output of instances that ended long ago. */
  sweep(app: string, living: Iterable<LaunchSpec["output"]>): Promise<void>;
};

/** The databases of apps. */
export type Databases = {
  /** What an app finds in COUCHDB_URL; null when Maestro runs without databases. */
  urlOf(app: string): Promise<string | null>;
  /** Gives the databases of an app, or of all, a second home; null takes it away. Whose they are. */
  replicate(app: string | undefined, to: string | null): Promise<string[]>;
  report(app?: string): Promise<DataReport>;
  /** Has each failing over and coming back told once. */
  follow(tell: (event: DataEvent) => Promise<void>): void;
  /** Those that are served from their second home. */
  away(): { app: string; since: string; reason: string }[];
  /** Whether there was one. */
  remove(app: string): Promise<boolean>;
};

/** The proxy workers, as one. */
export type Traffic = {
  /** The route of an app as the workers have it, also from an earlier controller. */
  routeOf(app: string): AppRoute | undefined;
  /** Resolves when the change is in force in every worker. */
  apply(change: RoutesChange): Promise<void>;
  /** Resolves when nothing is under way at the instance in any worker, or the limits have passed. */
  drain(instance: string, limits: DrainLimits): Promise<InFlight>;
  status(): Promise<WorkerStatus[]>;
};
