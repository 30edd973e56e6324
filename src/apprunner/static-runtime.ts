import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { exists, makeReadable, moveInto } from "./install.ts";

const packages = ["sirv", "mrmime", "totalist", "@polka/url"];

/**
 * Puts the server for static files, with the packages it needs, where every app's user can read it: below
 * `directory`, in a directory named by its content. Answers the path of the program. Does nothing when it is there.
 */
export async function installStaticServer(directory: string): Promise<string> {
  const program = await programText();
  const sources = findPackages();
  const target = join(directory, `static-server-${await fingerprint(program, sources)}`);
  if (!(await exists(target))) await install(target, program, sources);
  return join(target, "static-server.mjs");
}

/** The server where it lies in Maestro, for somebody who can read Maestro's own files. */
export const staticServer = fileURLToPath(
  new URL(`./static-server${extname(import.meta.url)}`, import.meta.url),
);

/** The server as JavaScript, so that the start of an app does not have to strip types. */
async function programText(): Promise<string> {
  const text = await readFile(staticServer, "utf8");
  return staticServer.endsWith(".ts") ? stripTypeScriptTypes(text) : text;
}

type Packages = ReadonlyMap<string, string>;

/** The directories of the packages: each found from sirv, which depends on the others. */
function findPackages(): Packages {
  const fromHere = createRequire(import.meta.url);
  const sirv = fromHere.resolve("sirv/package.json");
  const fromSirv = createRequire(sirv);
  return new Map(
    packages.map((name) => [name, packageDirectory(name === "sirv" ? sirv : fromSirv.resolve(name), name)]),
  );
}

/** The innermost directory above a file that is named as the package is. */
function packageDirectory(file: string, name: string): string {
  const directory = dirname(file);
  if (directory.endsWith(join("node_modules", name))) return directory;
  if (directory === dirname(directory)) throw new Error(`the package ${name} was not found above ${file}`);
  return packageDirectory(directory, name);
}

async function fingerprint(program: string, sources: Packages): Promise<string> {
  const hash = createHash("sha256").update(program);
  for (const path of sources.values()) hash.update(await readFile(join(path, "package.json")));
  return hash.digest("hex").slice(0, 12);
}

async function install(target: string, program: string, sources: Packages): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  const fresh = await mkdtemp(`${target}.`);
  try {
    await writeFile(join(fresh, "static-server.mjs"), program);
    for (const [name, path] of sources) {
      await cp(path, join(fresh, "node_modules", name), { recursive: true, dereference: true });
    }
    await makeReadable(fresh);
    await moveInto(fresh, target);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}
