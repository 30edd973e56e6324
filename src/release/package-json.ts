import { z } from "zod";
import { readJsonFile } from "./source-file.ts";
import { StaticDirectory } from "./static-directory.ts";

const mostBytes = 1024 * 1024;

const Scripts = z.looseObject({
  start: z.string().optional(),
  prestart: z.string().optional(),
  build: z.string().optional(),
});
/** What is in another form is npm's to complain about. */
const Dependencies = z.record(z.string(), z.string()).catch({});

const PackageJson = z.looseObject({
  scripts: Scripts.default({}),
  engines: z.object({ node: z.string().optional() }).optional().catch(undefined),
  packageManager: z.string().optional().catch(undefined),
  workspaces: z.unknown().optional(),
  dependencies: Dependencies,
  devDependencies: Dependencies,
  optionalDependencies: Dependencies,
  maestro: z.object({ static: StaticDirectory.optional() }).optional(),
});
export type PackageJson = z.infer<typeof PackageJson>;

/** Null when there is none. Throws `BAD_INPUT` for one that does not parse. */
export function parsePackageJson(directory: string): Promise<PackageJson | null> {
  return readJsonFile(directory, "package.json", { schema: PackageJson, mostBytes });
}

/** What of package.json matters for a start. `start`: null when there is no start script. */
export type PackageFacts = { start: string | null; static: string | null; notes: string[] };

/** Throws `BAD_INPUT` for a package.json that does not parse. */
export async function readPackageJson(directory: string): Promise<PackageFacts> {
  const found = await parsePackageJson(directory);
  if (found === null) return { start: null, static: null, notes: [] };
  const { start = "", prestart } = found.scripts;
  const hasStart = start.trim() !== "";
  const notes =
    hasStart && prestart !== undefined
      ? ["package.json's prestart is not run: Maestro runs the start line itself, not npm"]
      : [];
  return { start: hasStart ? start.trim() : null, static: found.maestro?.static ?? null, notes };
}
