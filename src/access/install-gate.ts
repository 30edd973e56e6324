import { createHash, randomUUID } from "node:crypto";
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isSystemError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { quoted } from "../lib/shell-words.ts";

/** Where everything for SSH lies: <home>/access. Maestro's, and readable by the user as whom developers log in. */
export type GatePlaces = { directory: string; node: string; program: string; door: string };

export function gatePlaces(home: string): GatePlaces {
  const directory = join(home, "access");
  return {
    directory,
    node: join(directory, "node"),
    program: join(directory, "gate", "gate.js"),
    door: join(directory, "door", "maestro.sock"),
  };
}

/** The command of a key's line in authorized_keys. Its paths stay the same over new versions of Maestro and of Node. */
export function gateCommand({ node, program }: GatePlaces, key: string): string {
  return `${shellWord(node)} ${shellWord(program)} --key ${key}`;
}

/**
 * Puts this version of the gate where the SSH user can read it, whoever may read Maestro's own files: programs under a
 * name that follows from their content, and a link that leads to them, replaced as a whole.
 */
export async function installGate(places: GatePlaces, node: string, gid: number): Promise<void> {
  const { directory } = places;
  await makeDirectory(directory, 0o755);
  const files = await readPrograms();
  const digest = createHash("sha256")
    .update(JSON.stringify([...files]))
    .digest("hex")
    .slice(0, 12);
  const target = `gate-${digest}`;
  await putPrograms(join(directory, target), files);
  await putLink(join(directory, "gate"), target);
  await putLink(places.node, node);
  await makeDirectory(join(directory, "hooks"), 0o755);
  const hook = `#!/bin/sh\nexec ${shellWord(places.node)} ${shellWord(join(directory, "gate", "pre-receive.js"))}\n`;
  await writeAtomic(join(directory, "hooks", "pre-receive"), hook, 0o755);
  await chmod(join(directory, "hooks", "pre-receive"), 0o755);
  await makeDirectory(dirname(places.door), 0o750);
  await chown(dirname(places.door), -1, gid);
  await removeOthers(directory, target);
}

/** The programs as JavaScript, so that no use of a key has to strip types. */
async function readPrograms(): Promise<Map<string, string>> {
  const source = fileURLToPath(new URL("./gate/", import.meta.url));
  const files = new Map([["package.json", '{"type":"module"}\n']]);
  for (const name of (await readdir(source)).filter((file) => /\.(ts|js|pl)$/.test(file)).sort()) {
    const text = await readFile(join(source, name), "utf8");
    if (name.endsWith(".d.ts")) continue;
    if (name.endsWith(".ts")) files.set(name.replace(/ts$/, "js"), toJavaScript(text));
    else files.set(name, text);
  }
  return files;
}

const toJavaScript = (text: string) =>
  stripTypeScriptTypes(text).replace(/(from\s+"\.\/[a-z-]+)\.ts"/g, '$1.js"');

async function putPrograms(target: string, files: ReadonlyMap<string, string>): Promise<void> {
  const fresh = await mkdtemp(`${target}.`);
  try {
    for (const [name, text] of files) {
      await writeFile(join(fresh, name), text);
      await chmod(join(fresh, name), 0o644);
    }
    await chmod(fresh, 0o755);
    await rename(fresh, target);
  } catch (error) {
    if (!isSystemError(error, "ENOTEMPTY", "EEXIST")) throw error; // The same programs are there.
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function putLink(path: string, target: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  await symlink(target, temporary);
  await rename(temporary, path);
}

/** The gates of earlier versions. A use of one that is under way has loaded what it needs. */
async function removeOthers(directory: string, kept: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/^gate-[0-9a-f]{12}(\.|$)/.test(name) && name !== kept) {
      await rm(join(directory, name), { recursive: true, force: true });
    }
  }
}

async function makeDirectory(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true, mode });
  await chmod(path, mode);
}

/** A word that a shell takes as it is. */
function shellWord(text: string): string {
  return /^[A-Za-z0-9/._+-]+$/.test(text) ? text : quoted(text);
}
