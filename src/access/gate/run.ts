import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Controller, Permission } from "./controller.ts";
import type { Request } from "./request.ts";

const access = join(import.meta.dirname, "..");
const path = "/usr/local/bin:/usr/bin:/bin";

/** What programs need of a system to start at all. */
const system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/urandom"];

type Confined = {
  program: readonly [string, ...string[]];
  directory: string;
  read: readonly string[];
  write: readonly string[];
  env: Record<string, string>;
};

/** Receives files by rsync, into the app's incoming/ and nowhere else. Answers the exit code. */
export async function runSend(
  controller: Controller,
  { app, options }: Extract<Request, { purpose: "send" }>,
): Promise<number> {
  return permitted(controller, "send", app, ({ incoming }) => ({
    // Symlinks are stored so that they lead nowhere while they lie here: rsync(1), --munge-links.
    program: ["rsync", "--server", ...options, "--munge-links", ".", "./"],
    directory: incoming,
    read: [],
    write: [incoming],
    env: {},
  }));
}

/** Receives a push by git, into the app's repository; its hook is what deploys. Answers the exit code. */
export async function runPush(
  controller: Controller,
  { app }: Extract<Request, { purpose: "push" }>,
): Promise<number> {
  return permitted(controller, "push", app, ({ incoming, repository }) => ({
    program: ["git", "receive-pack", repository],
    directory: repository,
    read: [access, process.execPath, "/proc", "/etc/localtime"],
    write: [repository, incoming],
    env: {
      ...gitSettings,
      OPENSSL_CONF: "/dev/null", // Node would look for one where it may not.
      MAESTRO_KEY: process.argv[3] ?? "",
      MAESTRO_APP: app,
      MAESTRO_INCOMING: incoming,
      SSH_CONNECTION: process.env["SSH_CONNECTION"] ?? "",
    },
  }));
}

async function permitted(
  controller: Controller,
  purpose: "send" | "push",
  app: string,
  plan: (permission: Permission) => Confined,
): Promise<number> {
  const ending = new AbortController();
  const permission = await controller.permit(purpose, app, (reason) => ending.abort(reason));
  const end = await runConfined(plan(permission), ending.signal);
  permission.notice(end);
  if (ending.signal.aborted) throw new Error(String(ending.signal.reason));
  return end.exitCode ?? 1;
}

/** Runs a program that sees the system and what it works on, and nothing else: see confine.pl. */
async function runConfined(
  { program, directory, read, write, env }: Confined,
  signal: AbortSignal,
): Promise<{ exitCode: number | null; signal: string | null }> {
  const named = [
    ...[...system, ...read].flatMap((place) => ["--read", place]),
    ...["/dev/null", ...write].flatMap((place) => ["--write", place]),
  ];
  const confine = join(import.meta.dirname, "confine.pl");
  const child = spawn("/usr/bin/perl", [confine, ...named, "--", ...program], {
    cwd: directory,
    env: { PATH: path, LC_ALL: "C.UTF-8", HOME: "/nonexistent", ...env },
    stdio: "inherit",
  });
  signal.addEventListener("abort", () => child.kill());
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (exitCode, killedBy) => resolve({ exitCode, signal: killedBy }));
  });
}

/**
 * git(1) as it is here and not as the machine or a repository would have it: nobody's configuration, no hook but ours,
 * and objects that are checked before they are believed.
 */
const gitSettings = settingsOf({
  "core.hooksPath": join(access, "hooks"),
  "receive.fsckObjects": "true",
  "receive.autogc": "false",
  "receive.advertisePushOptions": "false",
  "receive.denyDeleteCurrent": "refuse",
  "receive.maxInputSize": String(4 * 1024 ** 3),
  "gc.auto": "0",
});

function settingsOf(settings: Record<string, string>): Record<string, string> {
  const entries = Object.entries(settings);
  return {
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_COUNT: String(entries.length),
    ...Object.fromEntries(
      entries.flatMap(([name, value], at) => [
        [`GIT_CONFIG_KEY_${at}`, name],
        [`GIT_CONFIG_VALUE_${at}`, value],
      ]),
    ),
  };
}
