import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { dimensions, type Isolation, isAtLeast, isolationLevels } from "../app/isolation.ts";
import { DoctorCheck } from "../app/reports.ts";
import { isSystemError } from "../errors.ts";
import { operation } from "./operation.ts";

export const doctorOperation = operation({
  name: "doctor",
  summary: "What of the machine is there, what is missing, and what that costs",
  access: "admin",
  input: z.object({}),
  output: z.object({ checks: z.array(DoctorCheck) }),
  handle: async ({ controller }) => ({
    checks: [
      ...(await examine(controller.config.home)),
      ...isolationChecks(await controller.runner.tryIsolation()),
    ],
  }),
});

/** What apps are kept from: tried by a program in the very sandbox of apps, and told by dimension. */
function isolationChecks({ level, holds, attempts, notes, triedAt }: Isolation): DoctorCheck[] {
  const best = isAtLeast(level, "full");
  const summary = {
    name: "isolation of apps",
    found: best && triedAt !== null,
    detail: triedAt === null ? `${level}, and it could not be tried what holds` : level,
    ...adviceOn(notes, isolationLevels),
  };
  const byDimension = dimensions.map((dimension): DoctorCheck => {
    const made = attempts.filter((attempt) => attempt.dimension === dimension);
    const allowed = made.filter(({ refused }) => !refused).map(({ attempt }) => attempt);
    const detail =
      allowed.length > 0
        ? `an app can ${allowed.join(", ")}`
        : made.length > 0
          ? `${made.length === 1 ? "1 attempt was" : `${made.length} attempts were`} refused`
          : "not tried";
    const found = holds[dimension] === true;
    // What an app can do is in the detail already.
    const why = notes.filter((note) => !note.includes(": an app can "));
    return { name: `  ${dimension}`, found, detail, ...(found ? {} : adviceOn(why, [dimension])) };
  });
  return [summary, ...byDimension];
}

/** Of the notes, those on one of the subjects. */
function adviceOn(notes: readonly string[], subjects: readonly string[]): Pick<DoctorCheck, "advice"> {
  const fitting = notes.filter((note) => subjects.some((subject) => note.startsWith(subject)));
  return fitting.length > 0 ? { advice: fitting.join("; ") } : {};
}

type Program = { name: string; program: string; package: string; cost: string };

const programs: Program[] = [
  { name: "rsync", program: "rsync", package: "rsync", cost: "`maestro deploy` cannot send a directory" },
  { name: "setpriv", program: "setpriv", package: "util-linux", cost: "apps run as Maestro's own user" },
  { name: "setsid", program: "setsid", package: "util-linux", cost: "no app can be started" },
  { name: "perl", program: "perl", package: "perl-base", cost: "`maestro run` cannot start programs" },
  { name: "git", program: "git", package: "git", cost: "apps cannot be deployed by git push" },
];

/** Looks at this machine; needs no server. `home` is Maestro's directory, there or not. */
export async function examine(home: string): Promise<DoctorCheck[]> {
  return [
    examineNode(),
    examineUser(),
    ...(await Promise.all(programs.map(examineProgram))),
    await examineDisk(home),
  ];
}

function examineNode(): DoctorCheck {
  const found = Number(process.versions.node.split(".")[0]) >= 24;
  const check = { name: "node", found, detail: `${process.version} at ${process.execPath}` };
  return found
    ? check
    : { ...check, advice: "Maestro needs Node 24 or later; npm installs it with Maestro on Linux" };
}

function examineUser(): DoctorCheck {
  const found = process.getuid?.() === 0;
  if (found) return { name: "root", found, detail: "each app can have a user of its own" };
  return {
    name: "root",
    found,
    detail: `Maestro is uid ${process.getuid?.() ?? "unknown"}`,
    advice: "apps run as Maestro's own user and are not kept apart; run Maestro as root for that",
  };
}

async function examineProgram({ name, program, package: packageName, cost }: Program): Promise<DoctorCheck> {
  const path = await findProgram(program);
  if (path !== null) return { name, found: true, detail: path };
  const advice = `${cost}; install it with: apt-get install ${packageName}`;
  return { name, found: false, detail: `${program} is not on the path`, advice };
}

async function findProgram(program: string): Promise<string | null> {
  const directories = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"].filter(
    (part) => part !== "",
  );
  for (const directory of directories) {
    const path = join(directory, program);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }
  return null;
}

/** A deploy needs room for a whole release. */
const littleRoom = 512 * 1024 * 1024;

async function examineDisk(home: string): Promise<DoctorCheck> {
  const directory = await nearestExisting(home);
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  const detail = `${Math.round(free / 1024 / 1024)} MB free at ${home}`;
  if (free >= littleRoom) return { name: "disk", found: true, detail };
  return {
    name: "disk",
    found: false,
    detail,
    advice: "a deploy needs room for a whole release; free some space",
  };
}

async function nearestExisting(path: string): Promise<string> {
  try {
    await stat(path);
    return path;
  } catch (error) {
    if (!isSystemError(error, "ENOENT") || dirname(path) === path) throw error;
    return nearestExisting(dirname(path));
  }
}
