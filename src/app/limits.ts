import { z } from "zod";
import { MaestroError } from "../errors.ts";

const mebibyte = 1024 ** 2;

/** The least that a program can run in at all, and the most that the kernel counts. */
export const limitBounds = {
  memory: { least: 16 * mebibyte, most: Number.MAX_SAFE_INTEGER },
  /** One period of the scheduler cannot be divided further: 1 ms of 100. */
  cpu: { least: 1, most: 100_000 },
  /** PID_MAX_LIMIT of a 64-bit kernel. */
  pids: { least: 8, most: 4_194_304 },
} as const;

const within = ({ least, most }: { least: number; most: number }) => z.int().min(least).max(most);

/**
 * What each instance of an app may use, as it is stored. `null`: not limited.
 * `memory`: bytes. `cpu`: percent of one core, 200 is two cores. `pids`: processes and threads together.
 */
export const Limits = z.object({
  memory: within(limitBounds.memory).nullable().default(null),
  cpu: within(limitBounds.cpu).nullable().default(null),
  pids: within(limitBounds.pids).nullable().default(null),
});
export type Limits = z.infer<typeof Limits>;

/** Some of the limits, as they are stored: what `LimitsInput` gives. What is not named stays as it was. */
export const LimitsChange = z.object({
  memory: within(limitBounds.memory).nullable().optional(),
  cpu: within(limitBounds.cpu).nullable().optional(),
  pids: within(limitBounds.pids).nullable().optional(),
});
export type LimitsChange = z.infer<typeof LimitsChange>;

export const noLimits: Limits = { memory: null, cpu: null, pids: null };

const lifted = new Set(["none", "unlimited"]);

/** A limit as people write it, in; as it is stored, out. `null`, "none" and "unlimited" lift it. */
function limit(read: (written: string | number) => number | null, allowed: string) {
  return z
    .union([z.string(), z.number(), z.null()], { error: `must be ${allowed}` })
    .transform((value, context) => {
      if (value === null) return null;
      const written = typeof value === "string" ? value.trim().toLowerCase() : value;
      if (typeof written === "string" && lifted.has(written)) return null;
      const stored = read(written);
      if (stored !== null) return stored;
      context.addIssue({ code: "custom", message: `"${value}" is not ${allowed}` });
      return z.NEVER;
    });
}

const byteUnits = { "": 1, k: 1024, m: mebibyte, g: 1024 ** 3, t: 1024 ** 4 } as const;

function readMemory(written: string | number): number | null {
  const match = /^(\d{1,16}(?:\.\d{1,6})?) ?([kmgt]?)(?:i?b)?$/.exec(String(written));
  const unit = byteUnits[(match?.[2] ?? "") as keyof typeof byteUnits];
  return bounded(Math.floor(Number(match?.[1]) * unit), limitBounds.memory);
}

function readCpu(written: string | number): number | null {
  const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,4})?) ?(%|cores?)$/.exec(String(written)) ?? [];
  // 1.1 cores are 110.00000000000001 % to floating point.
  const percent = Number((Number(amount) * (unit === "%" ? 1 : 100)).toFixed(6));
  return Number.isInteger(percent) ? bounded(percent, limitBounds.cpu) : null;
}

function readPids(written: string | number): number | null {
  return /^\d{1,7}$/.test(String(written)) ? bounded(Number(written), limitBounds.pids) : null;
}

/** Null for what is outside, and for what is no number. */
function bounded(value: number, { least, most }: { least: number; most: number }): number | null {
  return value >= least && value <= most ? value : null;
}

/**
 * Limits as people write them, in app.json's `maestro.limits` and for the operation `limits`. Only what is named is
 * changed; `null`, `"none"` or `"unlimited"` lifts a limit.
 *
 * `memory`: bytes as a number, or with K, M, G, T (also KB, KiB, …), always powers of 1024, as in systemd and Docker.
 * `cpu`: `"50%"` of one core, or `"1.5cores"`. A bare number is refused: 2 could be two cores or two hundredths of one.
 * `pids`: a number, also as a string.
 */
export const LimitsInput = z.strictObject(
  {
    memory: limit(
      readMemory,
      'an amount of memory from 16M up, such as "256M" or "1.5G", or "none"',
    ).optional(),
    cpu: limit(
      readCpu,
      'a share of one core in whole percent from 1% up, such as "50%", "200%" or "1.5cores", or "none"',
    ).optional(),
    pids: limit(readPids, 'a number of processes and threads from 8 up, such as 64, or "none"').optional(),
  },
  {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `there is no limit ${issue.keys.join(", ")}; the limits are memory, cpu and pids`
        : undefined,
  },
);

/** As people write it, before `LimitsInput` has read it: what goes over the wire. */
export type LimitsWritten = z.input<typeof LimitsInput>;

/**
 * The words of a command line, `memory=256M cpu=50% pids=64`, still as they were written. Throws `BAD_INPUT` with a
 * sentence on what is allowed.
 */
export function limitsFromWords(words: readonly string[]): LimitsWritten {
  const pairs = words.map((word) => {
    const [, name, value] = /^([^=]+)=(.+)$/.exec(word) ?? [];
    if (name !== undefined && value !== undefined) return [name, value] as const;
    throw new MaestroError(
      "BAD_INPUT",
      `"${word}" is no limit; write for example memory=256M cpu=50% pids=64`,
      { word },
    );
  });
  const twice = pairs.find(([name], at) => pairs.findIndex(([other]) => other === name) !== at);
  if (twice)
    throw new MaestroError("BAD_INPUT", `${twice[0]} is given twice; give each limit once`, {
      word: twice[0],
    });
  const written = Object.fromEntries(pairs);
  const read = LimitsInput.safeParse(written);
  if (read.success) return written;
  const message = read.error.issues.map((issue) => [...issue.path, issue.message].join(": ")).join("; ");
  throw new MaestroError("BAD_INPUT", message, { words });
}

/** The limits with what a change names in place of what was. */
export function changeLimits(limits: Limits, { memory, cpu, pids }: LimitsChange): Limits {
  return {
    memory: memory === undefined ? limits.memory : memory,
    cpu: cpu === undefined ? limits.cpu : cpu,
    pids: pids === undefined ? limits.pids : pids,
  };
}

/** What an app may use that says nothing of it: a fork bomb is to end with the app, not with the machine. */
const unlessSaid: Limits = { memory: null, cpu: null, pids: 1024 };

/** What each instance of an app may use: what was set for the app goes above what its release asks for. */
export const limitsFor = (set: LimitsChange, asked: LimitsChange): Limits =>
  changeLimits(changeLimits(unlessSaid, asked), set);

/** For people: "memory 256M, cpu 50%, pids 64"; "no limits". */
export function formatLimits({ memory, cpu, pids }: Limits): string {
  const parts = [
    memory === null ? [] : `memory ${formatBytes(memory)}`,
    cpu === null ? [] : `cpu ${cpu}%`,
    pids === null ? [] : `pids ${pids}`,
  ].flat();
  return parts.length > 0 ? parts.join(", ") : "no limits";
}

/** For people, in the units in which limits are written: 268435456 is "256M", 1610612736 "1.5G", 900 "900". */
export function formatBytes(bytes: number): string {
  const units = ["", "K", "M", "G", "T"];
  // What would be rounded up to 1024 of a unit is 1 of the next.
  const at = units.findIndex((_, power) => bytes < 1023.95 * 1024 ** power);
  const power = at === -1 ? units.length - 1 : at;
  return `${Number((bytes / 1024 ** power).toFixed(1))}${units[power]}`;
}

/**
 * What Node is given as `--max-old-space-size`, in MiB; null without a limit of memory. V8 otherwise sizes its heap by
 * the machine, collects too late, and is killed where it could have collected.
 *
 * Three quarters, and at least 64 MiB beside it: the program itself, the young generation (up to 48 MiB), stacks, code and
 * buffers are outside of that heap, and an app that reaches its heap's end says so with a stack trace, while one that
 * reaches its memory limit is killed without a word. Where the limit is too small for 64 MiB beside, a quarter of it.
 */
export function heapMegabytes({ memory }: Limits): number | null {
  if (memory === null) return null;
  const limit = memory / mebibyte;
  return Math.floor(Math.max(limit / 4, Math.min(limit * 0.75, limit - 64)));
}
