import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError, MaestroError } from "../src/errors.ts";

/** How a project was deployed the last time: .maestro.json in its directory. Fields of later versions are kept. */
export type Project = {
  /** "user@server[:port]" */
  to?: string;
  app?: string;
  hostnames?: string[];
};

/** By hand: a deploy begins with this, and loading what reads a schema takes longer than all else before it. */
function isProject(value: unknown): value is Project {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { to, app, hostnames }: Record<string, unknown> = { ...value };
  const isName = (name: unknown) => name === undefined || typeof name === "string";
  const areNames =
    hostnames === undefined ||
    (Array.isArray(hostnames) && hostnames.every((name) => typeof name === "string"));
  return isName(to) && isName(app) && areNames;
}

/** What is remembered of a deploy over SSH. */
export type Deployed = { to: string; app: string; hostnames: string[] };

const fileName = ".maestro.json";

/** What is remembered of a project; nothing when it was never deployed from here. Throws `BAD_INPUT` for a file that is none. */
export async function readProject(directory: string): Promise<Project> {
  const path = join(directory, fileName);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return {};
    throw error;
  }
  const project = parse(text);
  if (isProject(project)) return project;
  const message = `${path} is not what Maestro remembers of a project; mend it, or remove it and deploy with --to`;
  throw new MaestroError("BAD_INPUT", message, { path });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // The same as what is JSON and no project.
  }
}

/** Remembers it for the next time, when there is something new. */
export async function rememberProject(directory: string, deployed: Deployed): Promise<void> {
  const known = await readProject(directory);
  const { hostnames, ...rest } = deployed;
  const { hostnames: _, ...others } = known;
  const project = { ...others, ...rest, ...(hostnames.length > 0 ? { hostnames } : {}) };
  if (JSON.stringify(project) === JSON.stringify(known)) return;
  const { writeAtomic } = await import("../src/lib/atomic-file.ts");
  await writeAtomic(join(directory, fileName), `${JSON.stringify(project, null, 2)}\n`, 0o644);
}
