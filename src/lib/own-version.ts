import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The directory of Maestro's package: the nearest one above this file, which may lie in dist/ or not. */
export const packageDirectory = findPackage(dirname(fileURLToPath(import.meta.url)));

/** The version of the code that this process runs; what package.json says may have become another since. */
export const ownVersion = readVersion(packageDirectory) ?? "unknown";

function findPackage(from: string): string {
  const parent = dirname(from);
  return readVersion(from) !== null || parent === from ? from : findPackage(parent);
}

function readVersion(directory: string): string | null {
  try {
    const content: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return isOwnPackage(content) ? content.version : null;
  } catch {
    // No package.json in this directory: the next one up is asked.
    return null;
  }
}

function isOwnPackage(content: unknown): content is { name: "maestro"; version: string } {
  return typeof content === "object" && content !== null && "name" in content && content.name === "maestro";
}
