import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import semver from "semver";
import { z } from "zod";

/** The package managers of Node that are known. */
export type Tool = "npm" | "pnpm" | "yarn";

/** Of Node's program for this machine. */
export const nodePackage = `node-linux-${process.arch}`;

/** The package of a version of a package manager: yarn has another one from 2 on. */
export function packageOf(tool: Tool, range: string): string {
  const isBerry = tool === "yarn" && (semver.minVersion(range)?.major ?? 1) > 1;
  return isBerry ? "@yarnpkg/cli-dist" : tool;
}

const Package = z.object({ bin: z.record(z.string().regex(/^[\w.-]+$/), z.string()) });

/**
 * Puts a program into `bin` for each that the package in `package` has. It runs on the Node that is first on the path:
 * that has to be the app's.
 */
export async function writePrograms(directory: string): Promise<void> {
  const { bin } = Package.parse(
    JSON.parse(await readFile(join(directory, "package", "package.json"), "utf8")),
  );
  await mkdir(join(directory, "bin"));
  for (const [name, file] of Object.entries(bin)) {
    const path = join("package", file);
    const script = `#!/bin/sh\nexec node "\${0%/*}/../${path}" "$@"\n`;
    await writeFile(join(directory, "bin", name), script, { mode: 0o755 });
  }
}
