import type { LaunchSpec } from "../app/instance.ts";
import { heapMegabytes } from "../app/limits.ts";
import { MaestroError } from "../errors.ts";
import { quoted } from "../lib/shell-words.ts";
import { environmentCarrier, searchPath } from "./chain.ts";
import type { Inside } from "./sandbox/view.ts";

/** Without it, Node looks for the zone in files: 13 ms of the first answer. */
const timeZone = process.env["TZ"] ?? Intl.DateTimeFormat().resolvedOptions().timeZone;

type Variables = ReadonlyMap<string, string>;
type EnvironmentOf = Pick<LaunchSpec, "app" | "id" | "release" | "port" | "env" | "limits">;

/** What an app's processes find in their environment: what is listed here, and the app's own. Nothing of Maestro's. */
export function appEnvironment(spec: EnvironmentOf, inside: Inside): Variables {
  const { storage, tmp } = inside;
  const variables = new Map([
    ["HOST", "127.0.0.1"],
    ["NODE_ENV", "production"],
    ["PATH", searchPath(inside)],
    ["HOME", tmp],
    ["TMPDIR", tmp],
    ["LANG", "C.UTF-8"],
    ["TZ", timeZone],
  ]);
  for (const [name, value] of Object.entries(spec.env)) {
    if (!isReserved(name)) variables.set(name, value);
  }
  variables.set("MAESTRO_APP", spec.app);
  variables.set("MAESTRO_RELEASE", `v${spec.release}`);
  variables.set("MAESTRO_INSTANCE", spec.id);
  if (spec.port !== null) variables.set("PORT", String(spec.port));
  if (storage !== null) variables.set("STORAGE_DIR", storage);
  const heap = heapMegabytes(spec.limits);
  if (heap !== null) variables.set("NODE_OPTIONS", withHeap(variables.get("NODE_OPTIONS") ?? "", heap));
  return variables;
}

/** An app that sizes its heap itself knows better. */
const withHeap = (options: string, heap: number) =>
  /--max[-_]old[-_]space[-_]size/.test(options) ? options : `${options} --max-old-space-size=${heap}`.trim();

const isReserved = (name: string) => name === "PORT" || name.startsWith("MAESTRO_");

/** MAX_ARG_STRLEN of execve(2): bytes of "NAME=VALUE" with the NUL behind it. */
const mostBytes = 128 * 1024;

/**
 * An app's environment as one variable's value, which the end of the chain evaluates. Throws `BAD_INPUT` for what no
 * environment can hold.
 */
export function packEnvironment(variables: Variables): string {
  const packed = `export ${[...variables].map(([name, value]) => assignment(name, value)).join(" ")}`;
  if (Buffer.byteLength(packed) + environmentCarrier.length + 2 <= mostBytes) return packed;
  const app = variables.get("MAESTRO_APP") ?? "the app";
  const message = `${app} could not be started: its environment is more than the 128 KB that the kernel takes; keep what is large in a file`;
  throw new MaestroError("BAD_INPUT", message, { app });
}

/**
 * The environment of the chain that leads to the app, with the app's own packed into one variable. It goes through
 * execve(2)'s environment and never through a command line, which everyone on the machine can read.
 */
export function chainEnvironment(variables: Variables): Record<string, string> {
  return { PATH: "/usr/bin:/bin", [environmentCarrier]: packEnvironment(variables) };
}

function assignment(name: string, value: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new MaestroError("BAD_INPUT", `"${name}" is not a name for an environment variable; rename it`, {
      name,
    });
  }
  if (value.includes("\0")) {
    throw new MaestroError("BAD_INPUT", `the environment variable ${name} holds a NUL character; remove it`, {
      name,
    });
  }
  return `${name}=${quoted(value)}`;
}
