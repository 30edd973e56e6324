import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The version in Maestro's package.json: the nearest one above this file, which may lie in dist/ or not. */
export function ownVersion(from = dirname(fileURLToPath(import.meta.url))): string {
  const found = readVersion(join(from, "package.json"));
  if (found !== null) return found;
  const parent = dirname(from);
  return parent === from ? "unknown" : ownVersion(parent);
}

function readVersion(path: string): string | null {
  try {
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isOwnPackage(content) ? content.version : null;
  } catch {
    // No package.json in this directory: the next one up is asked.
    return null;
  }
}

function isOwnPackage(content: unknown): content is { name: "maestro"; version: string } {
  return typeof content === "object" && content !== null && "name" in content && content.name === "maestro";
}
