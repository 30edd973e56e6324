import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

/** A branch that is pushed: the commits before and after; zeros where there is none. */
export type Update = { before: string; after: string; branch: string };

const run = promisify(execFile);
const mostOutput = 64 * 1024 * 1024;

/** git, in the repository in which the hook runs and among the objects that were just received. */
async function git(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const options = { env: { ...process.env, ...env }, maxBuffer: mostOutput };
  return (await run("git", [...args], options)).stdout;
}

/**
 * The branch from which an app is deployed: `"maestro": { "branch": … }` in app.json of what is pushed, else main, else
 * master where there is no main.
 */
export async function deployedBranch(commit: string, pushed: readonly string[]): Promise<string> {
  const named = await branchInAppJson(commit);
  if (named !== null) return named;
  if (pushed.includes("main") || (await hasBranch("main"))) return "main";
  return pushed.includes("master") || (await hasBranch("master")) ? "master" : "main";
}

async function branchInAppJson(commit: string): Promise<string | null> {
  try {
    const appJson: unknown = JSON.parse(await git(["cat-file", "blob", `${commit}:app.json`]));
    const own = field(appJson, "maestro");
    const branch = field(own, "branch");
    return typeof branch === "string" ? branch : null;
  } catch {
    return null; // None, or not JSON: the release will say so.
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

const hasBranch = (name: string) =>
  git(["show-ref", "--verify", "--quiet", `refs/heads/${name}`]).then(
    () => true,
    () => false,
  );

/** Whether the branch does not go on from where it was. */
export const isRewritten = ({ before, after }: Update) =>
  git(["merge-base", "--is-ancestor", before, after]).then(
    () => false,
    () => true,
  );

/**
 * Makes a directory hold the files of a commit as they are in it: only what differs is written, and what is not in it
 * goes. Attributes in the repository change nothing (info/attributes stands above them), and no filter is configured.
 * Answers what people should know of it.
 */
export async function checkOut(commit: string, directory: string): Promise<string[]> {
  const env = { GIT_WORK_TREE: directory, GIT_INDEX_FILE: join(process.cwd(), "maestro.index") };
  await git(["read-tree", "--reset", "-u", `${commit}^{tree}`], env);
  await git(["clean", "-ffdxq"], env);
  const submodules = (await git(["ls-files", "--stage", "-z"], env))
    .split("\0")
    .filter((entry) => entry.startsWith("160000 "))
    .map((entry) => entry.slice(entry.indexOf("\t") + 1));
  if (submodules.length === 0) return [];
  return [`submodules are not fetched, their directories are empty: ${submodules.join(", ")}`];
}
