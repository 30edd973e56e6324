import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppName } from "../src/app/app.ts";
import { isSystemError, MaestroError } from "../src/errors.ts";

/**
 * The name of the app in a directory: the one that was asked for, else `name` of its package.json, else the name
 * of the directory, both made to fit. Throws `BAD_INPUT` when none can be had.
 */
export async function appNameOf(directory: string, asked?: string): Promise<string> {
  if (asked !== undefined) return checked(asked);
  const own = await packageName(directory);
  const source = own ?? basename(directory);
  const name = sanitize(source);
  if (AppName.safeParse(name).success) return name;
  throw new MaestroError(
    "BAD_INPUT",
    `no app name can be made of "${source}" (${own === undefined ? "the directory's name" : "name in package.json"}); say one with --app NAME`,
    { directory, source },
  );
}

function checked(name: string): string {
  const parsed = AppName.safeParse(name);
  if (parsed.success) return parsed.data;
  const rule = parsed.error.issues[0]?.message ?? "it does not fit";
  throw new MaestroError("BAD_INPUT", `"${name}" cannot be an app's name: ${rule}`, { app: name });
}

/** "@acme/My Shop.v2" → "my-shop-v2" */
function sanitize(name: string): string {
  return name
    .replace(/^@[^/]*\//, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 63)
    .replace(/-+$/, "");
}

async function packageName(directory: string): Promise<string | undefined> {
  const path = join(directory, "package.json");
  try {
    const content: unknown = JSON.parse(await readFile(path, "utf8"));
    const name =
      typeof content === "object" && content !== null && "name" in content ? content.name : undefined;
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    throw new MaestroError(
      "BAD_INPUT",
      `${path} is not JSON (${error.message}); mend it`,
      { path },
      { cause: error },
    );
  }
}
