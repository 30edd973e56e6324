import semver from "semver";
import { type PackageJson, parsePackageJson } from "../package-json.ts";
import type { RegistrySettings } from "../runtimes/registry.ts";
import type { Runtime, Runtimes } from "../runtimes/runtimes.ts";
import { keyOf } from "./key.ts";
import { hasDependencies, installFacts, type Manager, managerOf, readsSource } from "./node-project.ts";
import type { Project, Recipe } from "./recipe.ts";

/** Files beside the lock file that an installation goes by. */
const settingsFiles = [".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs"];

/** How a project of Node is built; null when nothing of it is: it needs no packages, or has brought them along. */
export async function nodeRecipe(
  project: Project,
  runtimes: Runtimes,
  node: Runtime,
  say: (what: string) => void,
): Promise<Recipe | null> {
  const pkg = await parsePackageJson(project.directory);
  if (pkg === null || project.entries.some(({ path }) => path.startsWith("node_modules/"))) return null;
  const { build = "" } = pkg.scripts;
  const isBuilt = build.trim() !== "";
  if (!isBuilt && !hasDependencies(pkg)) return null;
  const manager = await managerOf(project, pkg);
  const tool = await runtimes.tool(manager.tool, manager.range, node.version, say);
  const commands = commandsOf(manager, tool, { isBuilt, pkg });
  return {
    ...commands,
    key: await keyOfNode(project, pkg, manager, [node.name, tool.name, commands.install]),
    ...surroundings(manager, await runtimes.settings()),
    tools: [tool],
    explain: (line) => explain(manager, line),
    notes: manager.lockFile === null && hasDependencies(pkg) ? [withoutLockFile(manager)] : [],
  };
}

async function keyOfNode(
  project: Project,
  pkg: PackageJson,
  { lockFile }: Manager,
  by: readonly unknown[],
): Promise<string> {
  const files = [...settingsFiles, ...(lockFile === null ? [] : [lockFile])];
  const digests = await Promise.all(files.map((file) => project.digest(file)));
  const source = readsSource(pkg) ? await project.checksum() : null;
  return keyOf("node", by, installFacts(pkg), digests, source);
}

type Needs = { isBuilt: boolean; pkg: PackageJson };

/** A build gets the development dependencies, what is served does not. */
function commandsOf(
  { tool, lockFile }: Manager,
  { name, version }: Runtime,
  { isBuilt, pkg }: Needs,
): Pick<Recipe, "install" | "compile" | "prune"> {
  const isModern = tool === "yarn" && semver.major(version) > 1;
  const { install, prune } = ways[isModern ? "berry" : tool](
    lockFile !== null,
    isBuilt,
    semver.major(version),
  );
  const by = name.replace(/-(?=\d)/, " ");
  const isInstalled = hasDependencies(pkg);
  const isPruned = isInstalled && hasDevelopment(pkg) && (isBuilt || isModern);
  return {
    install: isInstalled
      ? [{ title: `Installing dependencies with ${by}`, command: [tool, ...install] }]
      : [],
    compile: isBuilt ? [{ title: `Building: ${tool} run build`, command: [tool, "run", "build"] }] : [],
    prune:
      prune !== null && isPruned
        ? { title: "Removing development dependencies", command: [tool, ...prune] }
        : null,
  };
}

const hasDevelopment = ({ devDependencies, workspaces }: PackageJson) =>
  workspaces !== undefined || Object.keys(devDependencies).length > 0;

type Way = (
  isLocked: boolean,
  withDevelopment: boolean,
  major: number,
) => {
  install: readonly string[];
  /** Null: it cannot. */
  prune: readonly string[] | null;
};

const ways: Record<"npm" | "pnpm" | "yarn" | "berry", Way> = {
  npm: (isLocked, withDevelopment) => ({
    install: [
      ...(isLocked ? ["ci"] : ["install", "--no-package-lock"]),
      withDevelopment ? "--include=dev" : "--omit=dev",
    ],
    prune: ["prune", "--omit=dev", "--ignore-scripts"],
  }),
  pnpm: (isLocked, withDevelopment) => ({
    install: [
      "install",
      isLocked ? "--frozen-lockfile" : "--no-frozen-lockfile",
      `--prod=${!withDevelopment}`,
    ],
    prune: ["prune", "--prod", "--ignore-scripts"],
  }),
  yarn: (isLocked, withDevelopment) => ({
    install: [
      "install",
      "--non-interactive",
      isLocked ? "--frozen-lockfile" : "--no-lockfile",
      `--production=${!withDevelopment}`,
    ],
    prune: ["install", "--non-interactive", "--frozen-lockfile", "--production=true", "--ignore-scripts"],
  }),
  berry: (isLocked, _, major) => ({
    install: ["install", isLocked ? "--immutable" : "--no-immutable"],
    prune: major < 4 ? null : ["workspaces", "focus", "--all", "--production"],
  }),
};

/** Below what the project's own .npmrc says. Of the operator's settings only what is no secret. */
function surroundings(
  { tool }: Manager,
  { registry, cafile }: RegistrySettings,
): Pick<Recipe, "env" | "home"> {
  const npmrc = [
    `registry=${registry}`,
    ...(cafile === null ? [] : [`cafile=${cafile}`]),
    // Its own choice would be a directory in the release.
    ...(tool === "pnpm" ? ["store-dir=$" + "{HOME}/.pnpm-store", "package-import-method=copy"] : []),
    ...(tool === "npm" ? ["fund=false", "audit=false", "update-notifier=false", "progress=false"] : []),
  ];
  const yarnrc = [`npmRegistryServer: ${JSON.stringify(registry)}`, "enableTelemetry: false"];
  return {
    env: {
      CI: "true",
      ...(tool === "yarn" ? { YARN_NODE_LINKER: "node-modules" } : {}),
      ...(cafile === null ? {} : { NODE_EXTRA_CA_CERTS: cafile }),
    },
    home: {
      ".npmrc": `${npmrc.join("\n")}\n`,
      ...(tool === "yarn" ? { ".yarnrc.yml": `${yarnrc.join("\n")}\n` } : {}),
    },
  };
}

/** How each of them says that the lock file is of another package.json. */
const mismatch =
  /can only install packages when your package\.json and|are in sync|ERR_PNPM_OUTDATED_LOCKFILE|lockfile needs to be updated|lockfile would have been modified/;

function explain({ tool, lockFile }: Manager, line: string): string | null {
  if (lockFile === null || !mismatch.test(line)) return null;
  return `${lockFile} does not match package.json; run \`${tool} install\` and commit both`;
}

const withoutLockFile = ({ tool }: Manager) =>
  `there is no lock file: the versions that are installed may be others each time; run \`${tool} install\` and commit what it writes`;
