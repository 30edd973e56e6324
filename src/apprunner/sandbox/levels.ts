import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type IsolationLevel, isolationLevels } from "../../app/isolation.ts";
import { anyUser, isExecutable } from "../reach.ts";
import type { Runtime } from "../runtime.ts";
import { probeLandlock } from "./landlock.ts";
import { confine, entering, type Sandbox, writeView } from "./sandbox.ts";

/** With what stands in the way of each higher level, in sentences. */
export type Chosen = { level: IsolationLevel; obstacles: string[] };

export type Choice = {
  runtime: Runtime;
  /** What sandboxes are made of, whatever their level. */
  parts: Omit<Sandbox, "level">;
  /** Nothing higher than this. */
  atMost?: IsolationLevel;
};

/** The highest level at which a program really starts on this machine. */
export async function chooseLevel(choice: Choice): Promise<Chosen> {
  const obstacles: string[] = [];
  for (const level of candidates(choice.atMost)) {
    const obstacle = await obstacleTo(level, choice);
    if (obstacle === null) return { level, obstacles };
    obstacles.push(`${level}: ${obstacle}`);
  }
  return { level: "process", obstacles };
}

const isRoot = () => process.getuid?.() === 0;

/** In a user namespace root still acts as root on files: what bubblewrap gives root is the full level or none. */
function candidates(atMost: IsolationLevel = "full"): IsolationLevel[] {
  return isolationLevels
    .slice(0, isolationLevels.indexOf(atMost) + 1)
    .toReversed()
    .filter((level) => level !== "userns" || !isRoot());
}

async function obstacleTo(level: IsolationLevel, choice: Choice): Promise<string | null> {
  switch (level) {
    case "full":
      return isRoot()
        ? namespacesFail(level, choice)
        : "only root can give each app a user of its own; run Maestro as root";
    case "userns":
      return namespacesFail(level, choice);
    case "landlock":
      return (await probeLandlock()).obstacle;
    case "process":
      return null;
  }
}

const bwrap = "/usr/bin/bwrap";

/** Starts a program in the very sandbox that apps get. */
async function namespacesFail(level: IsolationLevel, { parts, runtime }: Choice): Promise<string | null> {
  if (!isExecutable(bwrap)) return `${bwrap} is missing; install it with: apt-get install bubblewrap`;
  const scratch = await mkdtemp(join(tmpdir(), "maestro-probe-"));
  try {
    const spec = {
      app: "probe",
      directory: parts.etc.directory,
      storage: null,
      user: anyUser,
      port: null,
      scratch,
    };
    const options = { cgroup: [], terminal: false, isStatic: false };
    const confinement = confine({ ...spec, ...options }, runtime, { ...parts, level });
    writeView(confinement);
    const [program = "", ...words] = [...entering(confinement), ...confinement.words, "/usr/bin/true"];
    await promisify(execFile)(program, words, { env: {}, cwd: "/" });
    return null;
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    const reason = stderr.trim().split("\n").at(-1) || message;
    return `a sandbox of bubblewrap does not start here: ${reason}`;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
