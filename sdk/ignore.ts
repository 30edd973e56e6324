import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isSystemError } from "../src/errors.ts";

/**
 * What of a directory is not sent, as rsync's filter rules, of which the first that matches decides.
 *
 * .gitignore says what git says (gitignore(5)): the last line that matches decides, a deeper file above a higher
 * one, `!` takes back. rsync could read the files itself (`:- .gitignore`), but it knows no `!` and would leave out
 * files without a word, so the lines are translated. `.maestroignore` has the same form and goes above .gitignore.
 */
export async function filterRules(directory: string, include: readonly string[] = []): Promise<string[]> {
  const found = await collect(directory, "");
  const modules = (await isInstalled(directory)) ? ["- node_modules"] : nodeModules;
  return [...neverSent, ...include.flatMap(wanted), ...secrets, ...found.maestro, ...modules, ...found.git];
}

/** History, and what Maestro itself keeps in a project: its home (`--home ./.maestro`), and where to deploy. */
const neverSent = ["- .git", "- /.maestro/", "- /.maestro.json"];

const secrets = ["- .env", "- .env.*"];

/** Where the server installs nothing, the packages that are here are sent, whatever .gitignore says or would match in them. */
const nodeModules = ["+ node_modules", "+ node_modules/**"];

const Package = z.looseObject({
  dependencies: z.record(z.string(), z.unknown()).optional(),
  devDependencies: z.record(z.string(), z.unknown()).optional(),
  optionalDependencies: z.record(z.string(), z.unknown()).optional(),
  workspaces: z.unknown().optional(),
});

/** Whether the server installs the packages of a project: package.json says which. */
async function isInstalled(directory: string): Promise<boolean> {
  const text = (await readLines(join(directory, "package.json"))).join("\n");
  const { data } = Package.safeParse(parsed(text));
  if (data === undefined) return false;
  const { dependencies = {}, devDependencies = {}, optionalDependencies = {}, workspaces } = data;
  const names = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
  return names.length > 0 || workspaces !== undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // The server says what is wrong with it.
  }
}

/** A path that was asked for, and all below it; a name alone wherever it is. */
function wanted(path: string): string[] {
  const name = escapeWildcards(path.replace(/^(\.\/)+/, "").replace(/\/+$/, ""));
  const anchored = name.includes("/") ? `/${name.replace(/^\//, "")}` : name;
  return [`+ ${forRsync(anchored)}`, `+ ${forRsync(`${anchored}/**`)}`];
}

type IgnoreRules = { maestro: string[]; git: string[] };

const notEntered = new Set([".git", ".maestro", "node_modules"]);

/** Those of the directories below come first. */
async function collect(root: string, base: string): Promise<IgnoreRules> {
  const entries = await readdir(join(root, base), { withFileTypes: true });
  const entered = entries.filter((entry) => entry.isDirectory() && !notEntered.has(entry.name));
  const below = await Promise.all(entered.map(({ name }) => collect(root, `${base}${name}/`)));
  const names = new Set(entries.map(({ name }) => name));
  const own = async (name: string) =>
    names.has(name) ? translateIgnore(await readLines(join(root, base, name)), base) : [];
  return {
    maestro: [...below.flatMap(({ maestro }) => maestro), ...(await own(".maestroignore"))],
    git: [...below.flatMap(({ git }) => git), ...(await own(".gitignore"))],
  };
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
