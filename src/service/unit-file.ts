import { readFile } from "node:fs/promises";
import type { InstalledUnit } from "../app/installation.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";

/** Units hold no secrets, and `systemctl cat` reads them for everybody. */
const mode = 0o644;

/**
 * Puts a unit where it belongs, unless it is there already. Another one in its place is kept beside it, under a
 * name that systemd passes over. Throws `INTERNAL` where it may not write.
 */
export async function putUnit({ path, content }: { path: string; content: string }): Promise<InstalledUnit> {
  try {
    const before = await readUnit(path);
    if (before === content) return { path, content, state: "unchanged" };
    if (before === null) {
      await writeAtomic(path, content, mode);
      return { path, content, state: "written" };
    }
    const keptAs = `${path}.before`;
    await writeAtomic(keptAs, before, mode);
    await writeAtomic(path, content, mode);
    return { path, content, state: "replaced", keptAs };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new MaestroError(
      "INTERNAL",
      `cannot write ${path} (${error.code}): \`maestro install --dry-run\` prints the units, to be put there by other means`,
      { path, code: error.code },
      { cause: error },
    );
  }
}

async function readUnit(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return null;
    throw error;
  }
}
