import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Builder } from "../../app/build.ts";
import { MaestroError } from "../../errors.ts";
import type { Modes } from "../modes.ts";
import type { Entry, FileEntry } from "../tree.ts";
import type { DependencyCache } from "./cache.ts";
import { giveTree, takeTree } from "./ownership.ts";
import type { Dependencies } from "./place.ts";
import type { Preparation } from "./prepare.ts";
import { removeAgain, removedBy } from "./prune.ts";
import type { Command, Recipe } from "./recipe.ts";

/** Where something is built: the directory that becomes the release, and one that goes afterwards. */
export type Workplace = {
  app: string;
  number: number;
  directory: string;
  scratch: string;
  modes: Modes;
  builder: Builder;
  cache: DependencyCache;
};

/** For each recipe what is installed already; null: nothing yet, or nothing is. */
export type Installed = readonly (Dependencies | null)[];

const installs = ({ install }: Recipe, known: Dependencies | null | undefined) =>
  install.length > 0 && (known ?? null) === null;

const compiles = ({ compile, prune }: Recipe) => compile.length > 0 || prune !== null;

/** Whether any program runs at all. */
export const isWork = ({ recipes }: Preparation, installed: Installed): boolean =>
  recipes.some((recipe, index) => compiles(recipe) || installs(recipe, installed[index]));

/** The tree of a release while it is being built: what is in it, and where the same lies besides. */
type Original = FileEntry & { at: string };
export type Tree = { entries: readonly Entry[]; originals: Map<string, Original> };

/** Makes of what was sent what runs, in its place: installs what is missing, then compiles. Answers what is there then. */
export async function compile(
  place: Workplace,
  preparation: Preparation,
  tree: Tree,
  installed: Installed,
): Promise<readonly Entry[]> {
  const { originals } = tree;
  const missing = preparation.recipes.filter((recipe, index) => installs(recipe, installed[index]));
  const compiled = preparation.recipes.filter(compiles);
  const last = compiled.at(-1) ?? missing.at(-1);
  await makeScratch(place, preparation);
  let { entries } = tree;
  for (const recipe of missing) {
    const isLast = recipe === last && compiled.length === 0;
    const before = new Set(entries.map(({ path }) => path));
    entries = await run(place, preparation, recipe, recipe.install, { entries, originals }, isLast);
    const made = entries.filter(({ path }) => !before.has(path));
    for (const original of await keep(place, recipe, made, isLast)) originals.set(original.path, original);
  }
  for (const recipe of compiled) {
    const isLast = recipe === last;
    entries = await compileOne(place, preparation, recipe, { entries, originals }, isLast);
  }
  return entries;
}

/** What is run after this gets the same files, and may write to them: then the cache gets copies. */
async function keep(
  { directory, modes, cache }: Workplace,
  { key }: Recipe,
  entries: readonly Entry[],
  isLast: boolean,
): Promise<Original[]> {
  const kept = await cache.keep(key, { directory, entries }, modes, { shared: isLast });
  return kept === null ? [] : originalsIn(kept);
}

/** The files of a tree that nobody writes to. */
export const originalsIn = ({ directory, entries }: Dependencies): Original[] =>
  entries.flatMap((entry) => (entry.kind === "file" ? [{ ...entry, at: join(directory, entry.path) }] : []));

/**
 * On the disk: packages are unpacked there, which would count as memory otherwise. What programs look for in their home is
 * written before the first of them could put anything in its place.
 */
async function makeScratch(
  { scratch, builder: { user } }: Workplace,
  { recipes }: Preparation,
): Promise<void> {
  await mkdir(scratch, { mode: 0o700 });
  for (const [name, text] of recipes.flatMap(({ home }) => Object.entries(home))) {
    await writeFile(join(scratch, name), text, { mode: 0o644 });
  }
  if (user !== null) await chown(scratch, user.uid, user.gid);
}

/** Compiles, and takes away what that alone has needed. */
async function compileOne(
  place: Workplace,
  preparation: Preparation,
  recipe: Recipe,
  tree: Tree,
  isLast: boolean,
): Promise<readonly Entry[]> {
  const { cache, directory } = place;
  const { key, compile: commands, prune } = recipe;
  const superfluous = prune === null ? [] : await cache.superfluous(key);
  const isAsked = prune !== null && superfluous === null;
  let removed: string[] = [];
  const ask = async () => {
    if (isAsked) removed = await removedBy(directory, () => runOne(place, preparation, recipe, prune));
  };
  const entries = await run(place, preparation, recipe, commands, tree, isLast, ask);
  if (isAsked) await cache.keepSuperfluous(key, removed);
  return superfluous === null ? entries : removeAgain(directory, entries, superfluous);
}

/** Runs programs of a recipe in a tree that is theirs for that time. Answers what is in it then, shared if these are the last. */
async function run(
  place: Workplace,
  preparation: Preparation,
  recipe: Recipe,
  commands: readonly Command[],
  { entries, originals }: Tree,
  isLast: boolean,
  afterwards = async () => {},
): Promise<readonly Entry[]> {
  const { directory, modes, builder } = place;
  const given = await giveTree(directory, entries, builder.user);
  for (const command of commands) await runOne(place, preparation, recipe, command);
  await afterwards();
  return takeTree(directory, modes, given, isLast ? originals : null);
}

async function runOne(
  { app, number, directory, scratch, builder }: Workplace,
  { node, settings }: Preparation,
  { tools, env, explain }: Recipe,
  { title, command }: Command,
): Promise<void> {
  builder.signal.throwIfAborted();
  const reason = new Reason(explain);
  try {
    await builder.run({
      title,
      command,
      release: number,
      directory,
      scratch,
      tools: tools.map((tool) => tool.directory),
      ...(node === null ? {} : { node: join(node.directory, "bin", "node") }),
      defaults: settings.env,
      env,
      limits: settings.build,
      onLine: (line) => reason.hear(line),
    });
  } catch (error) {
    throw reason.of(error, app);
  }
}

/** As many lines from the one on that says why something failed; behind it may come whole manuals. */
const tellingLines = 5;

/** Why a program fails, as far as a line of it tells what to do about that. */
class Reason {
  readonly #explain: Recipe["explain"];
  #advice: string | null = null;
  readonly #lines: string[] = [];

  constructor(explain: Recipe["explain"]) {
    this.#explain = explain;
  }

  hear(line: string): void {
    this.#advice ??= this.#explain(line);
    if (this.#advice !== null && this.#lines.length < tellingLines) this.#lines.push(line);
  }

  of(error: unknown, app: string): unknown {
    if (!(error instanceof MaestroError) || error.details["process"] !== "build" || this.#advice === null)
      return error;
    const message = `${app} could not be built: ${this.#advice}`;
    return new MaestroError(
      "BUILD_FAILED",
      message,
      { ...error.details, lastLines: this.#lines },
      { cause: error },
    );
  }
}
