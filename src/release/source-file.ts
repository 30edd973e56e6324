import { readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";
import { isSystemError, MaestroError } from "../errors.ts";

/** The regular file of that name in a directory, by its real path; null when there is none. */
export async function findFile(directory: string, name: string): Promise<string | null> {
  try {
    const path = await realpath(join(directory, name));
    if (!path.startsWith((await realpath(directory)) + sep)) {
      throw new MaestroError(
        "BAD_INPUT",
        `${name} is a symlink that leads out of the app; send the file itself`,
        {
          file: name,
        },
      );
    }
    return (await stat(path)).isFile() ? path : null;
  } catch (error) {
    // A dangling symlink, or one that goes round in circles, is no file.
    if (isSystemError(error, "ENOENT", "ENOTDIR", "ELOOP")) return null;
    throw error;
  }
}

/** Whether a directory of that name is there, and inside. */
export async function isDirectory(directory: string, name: string): Promise<boolean> {
  try {
    const path = await realpath(join(directory, name));
    const isInside = `${path}${sep}`.startsWith((await realpath(directory)) + sep);
    return isInside && (await stat(path)).isDirectory();
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR", "ELOOP")) return false;
    throw error;
  }
}

/** The text of a small file; null when there is none. Throws `BAD_INPUT` when it is too big or not UTF-8. */
export async function readText(directory: string, name: string, mostBytes: number): Promise<string | null> {
  const path = await findFile(directory, name);
  if (path === null) return null;
  const { size } = await stat(path);
  if (size > mostBytes) {
    throw badFile(name, `is larger than ${mostBytes} bytes; is it the right file?`, {
      bytes: size,
      mostBytes,
    });
  }
  try {
    // Without `ignoreBOM: true`, a byte order mark is dropped.
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw error instanceof TypeError ? badFile(name, "is not UTF-8 text; save it as UTF-8") : error;
  }
}

/** A JSON file by its schema; null when there is none. Throws `BAD_INPUT` that says where it is wrong. */
export async function readJsonFile<T>(
  directory: string,
  name: string,
  { schema, mostBytes }: { schema: z.ZodType<T>; mostBytes: number },
): Promise<T | null> {
  const text = await readText(directory, name, mostBytes);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badFile(name, `is not JSON: ${(error as Error).message}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badFile(name, `is not in the form that is known: ${z.prettifyError(parsed.error)}`);
}

export function badFile(file: string, what: string, details: Record<string, unknown> = {}): MaestroError {
  return new MaestroError("BAD_INPUT", `${file} ${what}`, { file, ...details });
}
