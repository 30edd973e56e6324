import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../src/errors.ts";

/**
 * What of a directory is not sent, as rsync's filter rules, of which the first that matches decides.
 *
 * .gitignore says what git says (gitignore(5)): the last line that matches decides, a deeper file above a higher
 * one, `!` takes back. rsync could read the files itself (`:- .gitignore`), but it knows no `!` and would leave out
 * files without a word, so the lines are translated. `.maestroignore` has the same form and goes above .gitignore.
 */
export async function filterRules(directory: string): Promise<string[]> {
  const found: IgnoreFiles = { maestro: [], git: [], modulesIgnored: false };
  await collect(directory, "", found);
  return [...neverSent, ...found.maestro, ...(found.modulesIgnored ? [] : nodeModules), ...found.git];
}

/** History, secrets, and what Maestro itself keeps in a project: its home (`--home ./.maestro`), and where to deploy. */
const neverSent = ["- .git", "- .env", "- .env.*", "- /.maestro/", "- /.maestro.json"];

/** Nothing is installed on the server, so what .gitignore says of node_modules, or would match in it, is passed over. */
const nodeModules = ["+ node_modules", "+ node_modules/**"];

type IgnoreFiles = { maestro: string[]; git: string[]; modulesIgnored: boolean };

const notEntered = new Set([".git", ".maestro", "node_modules"]);

async function collect(root: string, base: string, found: IgnoreFiles): Promise<void> {
  const entries = await readdir(join(root, base), { withFileTypes: true });
  for (const entry of entries) {
    if (entry.isDirectory() && !notEntered.has(entry.name))
      await collect(root, `${base}${entry.name}/`, found);
  }
  const maestro = await readLines(join(root, base, ".maestroignore"));
  found.modulesIgnored ||= maestro.some((line) => /^\/?node_modules\/?\s*$/.test(line));
  found.maestro.push(...translateIgnore(maestro, base));
  found.git.push(...translateIgnore(await readLines(join(root, base, ".gitignore")), base));
}

async function readLines(path: string): Promise<string[]> {
  try {
    return (await readFile(path, "utf8")).split(/\r?\n/);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "EISDIR")) return [];
    throw error;
  }
}

/** Lines of an ignore file that lies in `base` ("" or "sub/dir/") as rsync rules, the strongest first. */
export function translateIgnore(lines: readonly string[], base: string): string[] {
  return lines
    .map((line) => translateLine(line, base))
    .reverse()
    .flat();
}

function translateLine(line: string, base: string): string[] {
  const text = line.replace(/^\uFEFF/, "").replace(/(?<!\\) +$/, "");
  if (text === "" || text.startsWith("#")) return [];
  const sign = text.startsWith("!") ? "+" : "-";
  const pattern = text.replace(/^!/, "");
  const ending = pattern.endsWith("/") ? "/" : "";
  const body = pattern.replace(/\/+$/, "");
  if (body === "") return [];
  const anchored = body.includes("/");
  const places = anchored ? [body.replace(/^\//, "")] : [body, `**/${body}`];
  const paths = new Set(places.flatMap(spreadDoubleStars));
  return [...paths].map((path) => `${sign} ${forRsync(`/${escapeWildcards(base)}${path}`)}${ending}`);
}

// In gitignore two stars between slashes also stand for nothing, and beside other characters they mean one star;
// in rsync they do not.
function spreadDoubleStars(path: string): string[] {
  const single = path.replace(/(?<=[^/*])\*{2,}|\*{2,}(?=[^/*])/g, "*");
  const at = /(^|\/)\*\*\//.exec(single);
  if (at === null) return [single];
  const before = single.slice(0, at.index) + at[1];
  return spreadDoubleStars(single.slice(at.index + at[0].length)).flatMap((rest) => [
    before + rest,
    `${before}**/${rest}`,
  ]);
}

const escapeWildcards = (path: string) => path.replace(/[\\*?[]/g, "\\$&");

/** rsync takes a backslash literally in a pattern that has no wildcard. */
const forRsync = (pattern: string) => (/[*?[]/.test(pattern) ? pattern : pattern.replace(/\\(.)/g, "$1"));
