import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { mirrorEtc, put } from "./etc-mirror.ts";

/**
 * What apps see of the machine's /etc: enough for programs to resolve names, verify certificates, tell the time and
 * find their libraries. Everything else of it is none of their business.
 */
const shown = ["ssl"] as const; // directories
/** These change with the machine's packages at most, and nobody misses the change: a copy does, and costs no mount. */
const copied = [
  "gai.conf",
  "host.conf",
  "ld.so.cache",
  "locale.alias",
  "localtime",
  "magic",
  "mime.types",
  "os-release",
  "protocols",
  "services",
  "timezone",
] as const;

/** Each sandbox has a directory of its own bound here, and in it these files: users.ts. */
export const usersDirectory = "users";
const ofUsers = ["passwd", "group"] as const;

/** What is bound at /etc, and with what is bound over it: pairs of the machine's path and the sandbox's. */
export type Etc = { directory: string; over: readonly (readonly [from: string, to: string])[] };

/**
 * Lays out a directory that stands in for /etc. Where apps already see it, an earlier controller's, each file is
 * replaced as a whole.
 */
export function layOutEtc(directory: string): Etc {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(written))
    put(directory, name, (path) => writeFileSync(path, text));
  for (const name of copied) copy(directory, name);
  mirrorEtc(directory);
  mkdirSync(join(directory, usersDirectory), { recursive: true, mode: 0o755 });
  for (const name of ofUsers) put(directory, name, (path) => symlinkSync(join(usersDirectory, name), path));
  return { directory, over: shown.flatMap((name) => show(directory, name)) };
}

const written = {
  hosts: "127.0.0.1 localhost\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
};

/**
 * Names this machine: apps call each other through the proxy by hostname, whatever the DNS says, and those that listen
 * on "localhost" do so on the address where Maestro looks for them. Seen at once by the apps that run.
 */
export function writeHosts({ directory }: Etc, hostnames: readonly string[]): void {
  const text = ["localhost", ...hostnames].map((name) => `127.0.0.1 ${name}\n`).join("");
  if (readFileSync(join(directory, "hosts"), "utf8") === text) return;
  put(directory, "hosts", (path) => writeFileSync(path, text));
}

/** There is a place for it, over which it is bound. */
function show(directory: string, name: string): Etc["over"] {
  const target = targetOf(name);
  if (target === null) return [];
  mkdirSync(join(directory, name), { recursive: true, mode: 0o755 });
  return [[target, join("/etc", name)]];
}

/** A link to what every app sees anyway stays a link. */
function copy(directory: string, name: string): void {
  const target = targetOf(name);
  if (target === null) return;
  const original = join("/etc", name);
  const isLink = lstatSync(original).isSymbolicLink() && target.startsWith("/usr/");
  put(directory, name, (path) =>
    isLink ? symlinkSync(readlinkSync(original), path) : copyFileSync(target, path),
  );
}

function targetOf(name: string): string | null {
  try {
    return realpathSync(join("/etc", name));
  } catch {
    return null; // not there, or a link that leads nowhere: then there is nothing to show
  }
}
