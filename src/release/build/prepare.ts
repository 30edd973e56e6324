import { readAppJson } from "../app-json.ts";
import type { Content } from "../content.ts";
import { parsePackageJson } from "../package-json.ts";
import type { Runtime, Runtimes } from "../runtimes/runtimes.ts";
import { checksumOf, isFile, isRead } from "../tree.ts";
import type { SourceTree } from "../walk.ts";
import { nodeRecipe } from "./node.ts";
import { pythonRecipe } from "./python.ts";
import type { Project, Recipe } from "./recipe.ts";

/** What has to be done with what was sent, and on which Node it runs; null: on Maestro's own, whichever that is. */
export type Preparation = {
  recipes: readonly Recipe[];
  node: Runtime | null;
  /** Of the runtimes, in use for as long as nothing says so on the disk. */
  runtimes: readonly string[];
  settings: Pick<Awaited<ReturnType<typeof readAppJson>>, "env" | "build">;
  /** The digests of the files that this follows from, by path. */
  seen: ReadonlyMap<string, string>;
};

/** Looks at what was sent. Fetches the runtimes that it takes. Throws `BAD_INPUT`, `BUILD_FAILED`. */
export async function prepare(
  source: SourceTree,
  content: Content,
  runtimes: Runtimes,
  say: (what: string) => void,
): Promise<Preparation> {
  const seen = new Map<string, string>();
  const project = projectOf(source, content, seen);
  for (const file of ["package.json", "app.json", "requirements.txt"]) await project.digest(file);
  const pkg = await parsePackageJson(source.root);
  const range = pkg?.engines?.node;
  const node = await runtimes.node(range ?? "*", say);
  const recipes = [await nodeRecipe(project, runtimes, node, say), await pythonRecipe(project)].filter(
    (recipe) => recipe !== null,
  );
  const isChosen = range !== undefined || recipes.some(({ tools }) => tools.length > 0);
  const used = [...(isChosen ? [node] : []), ...recipes.flatMap(({ tools }) => tools)];
  return {
    recipes,
    node: isChosen ? node : null,
    runtimes: used.map(({ name }) => name),
    settings: await readAppJson(source.root),
    seen,
  };
}

function projectOf({ root, entries }: SourceTree, content: Content, seen: Map<string, string>): Project {
  const files = new Map(entries.filter(isFile).map((file) => [file.path, file]));
  const digest = async (path: string) => {
    const file = files.get(path);
    if (file === undefined) return null;
    file.digest ??= await content.digest(file);
    seen.set(path, file.digest);
    return file.digest;
  };
  return {
    directory: root,
    entries,
    digest,
    async checksum() {
      for (const path of files.keys()) await digest(path);
      return checksumOf(entries.filter(isRead));
    },
  };
}
