import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { MaestroError } from "../../errors.ts";

export type LandlockRules = Readonly<{
  /** Absolute paths below which is read and executed. All have to exist: what is missing ends the chain. */
  readOnly: readonly string[];
  /** Absolute paths below which is written too. */
  readWrite: readonly string[];
  /**
   * The ports at which is listened by TCP, where the kernel can hold to it (`network`); 0 lets the kernel choose one.
   * Without them there is no limit. UDP, and to whom is connected, are not limited.
   */
  bindPorts?: readonly number[];
}>;

const perl = "/usr/bin/perl";
const program = join(import.meta.dirname, "landlock.pl");

/**
 * The words before a program that is to run restricted by landlock(7). They set no_new_privs too, and end with exit
 * code 125 and a line on standard error instead of running anything unrestricted. Throws `BAD_INPUT`.
 */
export function landlockWords({ readOnly, readWrite, bindPorts = [] }: LandlockRules): string[] {
  for (const path of [...readOnly, ...readWrite]) {
    if (!path.startsWith("/") || path.includes("\0")) throw badRule(`"${path}" is not an absolute path`);
  }
  for (const port of bindPorts) {
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw badRule(`${port} is not a port`);
  }
  const words = [
    ...readOnly.flatMap((path) => ["--ro", path]),
    ...readWrite.flatMap((path) => ["--rw", path]),
    ...bindPorts.flatMap((port) => ["--bind", String(port)]),
  ];
  return [perl, program, ...words, "--"];
}

function badRule(problem: string): MaestroError {
  return new MaestroError("BAD_INPUT", `Landlock cannot be set: ${problem}`);
}

const system = {
  readOnly: [
    ...["/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup"],
    ...["/dev/urandom", "/dev/random", "/dev/zero"],
    // Of /etc only what programs look names, hosts, certificates and libraries up in: root reads all of it otherwise.
    ...["passwd", "group", "hosts", "hostname", "host.conf", "gai.conf", "resolv.conf", "nsswitch.conf"].map(
      inEtc,
    ),
    ...["services", "protocols", "mime.types", "localtime", "timezone", "os-release"].map(inEtc),
    ...["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts"].map(inEtc),
    ...["ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls/certs"].map(inEtc),
  ],
  // Not /dev/shm, which is everybody's.
  readWrite: ["/dev/null", "/dev/full"],
};

function inEtc(name: string): string {
  return `/etc/${name}`;
}

/** What programs need of the machine itself: those of its files that exist. */
export function systemPaths(): Pick<LandlockRules, "readOnly" | "readWrite"> {
  return { readOnly: system.readOnly.filter(isThere), readWrite: system.readWrite.filter(isThere) };
}

const isThere = (path: string) => existsSync(path);

/** What holds under Landlock here. `abi` is 0 where there is none. */
const Holds = z.object({ abi: z.int(), files: z.boolean(), network: z.boolean(), signals: z.boolean() });
export type LandlockProbe = z.infer<typeof Holds> & {
  /** Why nothing holds, in a sentence. */
  obstacle: string | null;
};

const nothing = { abi: 0, files: false, network: false, signals: false };

/** Tries it: a process restricts itself, and says what the kernel took. */
export async function probeLandlock(): Promise<LandlockProbe> {
  try {
    const { stdout } = await promisify(execFile)(perl, [program, "--probe"], { timeout: 10_000, env: {} });
    const holds = Holds.parse(JSON.parse(stdout));
    return { ...holds, obstacle: holds.abi > 0 ? null : "this kernel has no Landlock, or it is not enabled" };
  } catch (error) {
    const words = error instanceof Error ? error.message.trim() : String(error);
    return { ...nothing, obstacle: `Landlock could not be tried with ${perl}: ${words}` };
  }
}
