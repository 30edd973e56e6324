import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isSystemError, MaestroError } from "../src/errors.ts";
import { writeAtomic } from "../src/lib/atomic-file.ts";

/** How a project was deployed the last time: .maestro.json in its directory. Fields of later versions are kept. */
const Project = z.looseObject({
  /** "user@server[:port]" */
  to: z.string().optional(),
  app: z.string().optional(),
  hostnames: z.array(z.string()).optional(),
});
export type Project = z.infer<typeof Project>;

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
  try {
    return Project.parse(JSON.parse(text));
  } catch (error) {
    const message = `${path} is not what Maestro remembers of a project; mend it, or remove it and deploy with --to`;
    throw new MaestroError("BAD_INPUT", message, { path }, { cause: error });
  }
}

/** Remembers it for the next time, when there is something new. */
export async function rememberProject(directory: string, deployed: Deployed): Promise<void> {
  const known = await readProject(directory);
  const { hostnames, ...rest } = deployed;
  const { hostnames: _, ...others } = known;
  const project = { ...others, ...rest, ...(hostnames.length > 0 ? { hostnames } : {}) };
  if (JSON.stringify(project) === JSON.stringify(known)) return;
  await writeAtomic(join(directory, fileName), `${JSON.stringify(project, null, 2)}\n`, 0o644);
}
