import semver from "semver";
import { MaestroError } from "../../errors.ts";
import type { PackageJson } from "../package-json.ts";
import type { Tool } from "../runtimes/tools.ts";
import { readText } from "../source-file.ts";
import { hasFile, type Project } from "./recipe.ts";

const lockFiles = [
  ["pnpm-lock.yaml", "pnpm"],
  ["yarn.lock", "yarn"],
  ["npm-shrinkwrap.json", "npm"],
  ["package-lock.json", "npm"],
] as const satisfies (readonly [string, Tool])[];

/** With what, and by which lock file, the packages of a project are installed. `range`: of the manager's versions. */
export type Manager = { tool: Tool; range: string; lockFile: string | null };

/** Throws `BAD_INPUT` for a package manager that is not known. */
export async function managerOf(project: Project, { packageManager }: PackageJson): Promise<Manager> {
  const named = packageManager === undefined ? null : parseManager(packageManager);
  const found = lockFiles.find(([file, tool]) => hasFile(project, file) && (named?.tool ?? tool) === tool);
  const lockFile = found?.[0] ?? null;
  const tool = named?.tool ?? found?.[1] ?? "npm";
  return { tool, lockFile, range: named?.range ?? (await usualRange(project, tool, lockFile)) };
}

/** "pnpm@10.2.0+sha512.abc": the checksum is of what another place than the registry has, which has its own. */
function parseManager(text: string): { tool: Tool; range: string } {
  const [, tool, version = ""] = /^(npm|pnpm|yarn)@([^+]+)/.exec(text) ?? [];
  if (tool !== undefined && semver.valid(version) !== null) return { tool: tool as Tool, range: version };
  throw new MaestroError(
    "BAD_INPUT",
    `package.json's packageManager ${JSON.stringify(text)} is not known; it takes npm, pnpm or yarn with a version, such as "pnpm@10.2.0"`,
    { packageManager: text },
  );
}

/** The versions that understand the lock file, where the project names none. Several, since each wants its own Node. */
async function usualRange(project: Project, tool: Tool, lockFile: string | null): Promise<string> {
  const text = lockFile === null ? "" : ((await readText(project.directory, lockFile, mostLockBytes)) ?? "");
  switch (tool) {
    case "npm":
      return "8 || 9 || 10 || 11";
    case "pnpm":
      return /^lockfileVersion: '?5/m.test(text)
        ? "7"
        : /^lockfileVersion: '?6/m.test(text)
          ? "8"
          : "9 || 10";
    case "yarn":
      return /^__metadata:/m.test(text) ? "4" : "1";
  }
}

const mostLockBytes = 64 * 1024 * 1024;

/** Scripts that an installation runs, which may read any file of the project. */
const installScripts = [
  "preinstall",
  "install",
  "postinstall",
  "prepublish",
  "preprepare",
  "prepare",
  "postprepare",
];

/** Whether what an installation makes depends on more than the lock file and package.json. */
export function readsSource({ scripts, workspaces, ...pkg }: PackageJson): boolean {
  const { dependencies, devDependencies, optionalDependencies } = pkg;
  const wanted = Object.values({ ...dependencies, ...devDependencies, ...optionalDependencies });
  // Of an archive the lock file knows what is in it.
  const isLocal = wanted.some(
    (spec) => /^(file|link|portal|workspace|patch):|^\.{0,2}\//.test(spec) && !/\.(tgz|tar\.gz)$/.test(spec),
  );
  return workspaces !== undefined || isLocal || installScripts.some((name) => name in scripts);
}

export const hasDependencies = ({ workspaces, ...pkg }: PackageJson): boolean =>
  workspaces !== undefined ||
  [pkg.dependencies, pkg.devDependencies, pkg.optionalDependencies].some(
    (some) => Object.keys(some).length > 0,
  );

/** What an installation does not look at: these may change without another one. */
const unread = ["version", "description", "main", "module", "exports", "types", "type", "scripts", "maestro"];

/** The rest of package.json. */
export const installFacts = (pkg: PackageJson) =>
  Object.entries(pkg).filter(([name]) => !unread.includes(name));
