import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AppUser } from "../../app/app.ts";
import type { LaunchSpec } from "../../app/instance.ts";
import type { IsolationLevel } from "../../app/isolation.ts";
import type { Workshop } from "../../app/one-off.ts";
import { instanceFiles } from "../../protocol/instance-files.ts";
import type { Runtime } from "../runtime.ts";
import type { Etc } from "./etc.ts";
import { mirrorEtc } from "./etc-mirror.ts";
import { type LandlockRules, landlockWords, systemPaths } from "./landlock.ts";
import { type Users, usersFor, writeUsers } from "./users.ts";
import { type Inside, inside, view } from "./view.ts";

/** What of this machine the sandboxes are made of. */
export type Sandbox = {
  level: IsolationLevel;
  etc: Etc;
  /** The file with the filter of system calls; null where none can be used. */
  seccomp: string | null;
};

export type Confined = Pick<LaunchSpec, "app" | "directory" | "node" | "storage" | "user" | "port"> & {
  workshop?: Workshop;
  /** A directory of this start alone: where bwrap(1) finds what the app sees, and writes who is inside. */
  scratch: string;
  /** The files to which a process writes its pid to join the control groups of the instance. */
  cgroup: readonly string[];
  /** The program keeps the terminal of who starts it, and its signals; otherwise it has a session of its own. */
  terminal: boolean;
  /** Maestro's own static server is the app, and has to be seen. */
  isStatic: boolean;
};

/** The words that lead into the sandbox, before those of the app; and what the app then sees of itself. */
export type Confinement = {
  /** What enter.sh is told: what to open and to join, up to its "--". */
  entry: readonly string[];
  /** What follows it. */
  words: readonly string[];
  inside: Inside;
  /** What has to be in files before the start. */
  view: { path: string; words: readonly string[]; users: Users; etc: Etc } | null;
};

/** Of these levels, the app is in namespaces of its own. */
export const hasNamespaces = (level: IsolationLevel) => level === "full" || level === "userns";

/** How an app is confined at the level of this machine. */
export function confine(spec: Confined, ownRuntime: Runtime, sandbox: Sandbox): Confinement {
  const runtime = { ...ownRuntime, node: spec.node ?? ownRuntime.node };
  if (hasNamespaces(sandbox.level)) return inNamespaces(spec, runtime, sandbox);
  const { directory, storage, user, cgroup, workshop } = spec;
  const place = { tmp: workshop?.scratch ?? "/tmp", tools: workshop?.tools ?? [] };
  const inside = { ...runtime, directory, storage, ...place };
  const rules = reachable(inside, spec.port, workshop !== undefined);
  const restricted = sandbox.level === "landlock" ? landlockWords(rules) : [];
  // Restricted while still root: the app's user need not be able to read Maestro's own programs.
  return { entry: entry({ cgroup }), words: [...restricted, ...asUser(user)], inside, view: null };
}

/** Where no mount namespace can be had: what an app opens of the machine's files, by the machine's paths. */
function reachable(inside: Inside, port: number | null, isBuilt: boolean): LandlockRules {
  const { directory, node, staticServer, storage, tmp, tools } = inside;
  const { readOnly, readWrite } = systemPaths();
  return {
    readOnly: [...readOnly, ...(isBuilt ? [] : [directory]), dirname(node), dirname(staticServer), ...tools],
    readWrite: [...readWrite, tmp, ...(isBuilt ? [directory] : []), ...(storage === null ? [] : [storage])],
    // 0: a port that the kernel chooses, for what the app tells itself.
    bindPorts: port === null ? [0] : [port, 0],
  };
}

/**
 * What bwrap(1) does is in a file and not on its command line: `ps` stays readable. Synchronous, since the app waits
 * for it: a tenth of the time.
 */
export function writeView({ view }: Pick<Confinement, "view">): void {
  if (view === null) return;
  mirrorEtc(view.etc.directory);
  writeUsers(view.users);
  writeFileSync(view.path, view.words.map((word) => `${word}\0`).join(""), { mode: 0o600 });
}

function inNamespaces(spec: Confined, runtime: Runtime, { level, etc, seccomp }: Sandbox): Confinement {
  const { app, directory, storage, scratch, cgroup, terminal, isStatic, workshop } = spec;
  const files = { view: join(scratch, "view"), status: join(scratch, instanceFiles.sandbox), seccomp };
  const users = usersFor((level === "full" ? spec.user : null) ?? ourselves(), dirname(etc.directory));
  const setup = [
    ...["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", app],
    ...view({
      node: runtime.node,
      staticServer: isStatic ? runtime.staticServer : null,
      directory,
      storage,
      scratch: workshop?.scratch ?? null,
      tools: workshop?.tools ?? [],
      etc: { ...etc, over: [...etc.over, ...users.over] },
    }),
    ...["--chdir", inside.directory, "--die-with-parent", ...(terminal ? [] : ["--new-session"])],
    ...["--cap-drop", "ALL", ...(level === "full" ? mayBecomeUser : ["--unshare-user"])],
    ...["--json-status-fd", "8", ...(seccomp === null ? [] : ["--seccomp", "9"])],
  ];
  const words = [
    ...(terminal ? ["/usr/bin/env", ...ignoringInterrupts] : []),
    ...["/usr/bin/bwrap", "--args", "7", "--"],
    ...(terminal ? heedingInterrupts : []),
    ...(level === "full" ? asUser(spec.user) : []),
  ];
  return {
    entry: entry({ ...files, cgroup }),
    words,
    inside: {
      directory: inside.directory,
      node: `${inside.bin}/node`,
      staticServer: `${inside.staticServer}/static-server.mjs`,
      storage: storage === null ? null : inside.storage,
      tmp: inside.tmp,
      tools: (workshop?.tools ?? []).map((_, index) => inside.tool(index)),
    },
    view: { path: files.view, words: setup, users, etc },
  };
}

/** Who an app is that has no user of its own. */
const ourselves = (): AppUser => ({ uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });

/** For a program that is started by nobody who reads the script himself. */
export const entering = ({ entry }: Pick<Confinement, "entry">) => ["/bin/sh", enterScript, ...entry];
export const enterScript = fileURLToPath(new URL("./enter.sh", import.meta.url));

type Entry = { view?: string; status?: string; seccomp?: string | null; cgroup: readonly string[] };

function entry({ view = "", status = "", seccomp = "", cgroup }: Entry): string[] {
  return [view, status, seccomp ?? "", ...cgroup, "--"];
}

/** What setpriv(1) needs for giving up the rest: to change user and group, and to empty the bounding set. */
const mayBecomeUser = ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"].flatMap((name) => ["--cap-add", name]);

/** Ctrl-C and the like are for the program inside: bwrap(1) would die of them, and the program with it. */
const ignoringInterrupts = ["INT", "QUIT", "TSTP"].map((name) => `--ignore-signal=${name}`);
const heedingInterrupts = ["/usr/bin/env", "--default-signal"];

/** setpriv(1): its own user and group, no other groups, and no way to get more rights ever again. */
function asUser(user: AppUser | null): readonly string[] {
  if (user === null || process.getuid?.() !== 0) return [];
  const { uid, gid } = user;
  const identity = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups"];
  return ["/usr/bin/setpriv", ...identity, "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"];
}
