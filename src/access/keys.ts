import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DeployKey, type KeyReport } from "../app/key.ts";
import { MaestroError } from "../errors.ts";
import { removeTemporary, writeAtomic } from "../lib/atomic-file.ts";
import { namesIn } from "../lib/directory.ts";

/** The keys by which people deploy, a file each under <home>/state/keys/. What is written here decides what a key may. */
export class Keys {
  readonly #directory: string;
  readonly #keys = new Map<string, DeployKey>();

  private constructor(home: string) {
    this.#directory = join(home, "state", "keys");
  }

  /** Throws `INTERNAL` for a file that is not understood: a key that is passed over could not be removed. */
  static async open(home: string): Promise<Keys> {
    const keys = new Keys(home);
    await keys.#read();
    return keys;
  }

  get(name: string): DeployKey {
    const key = this.find(name);
    if (key) return key;
    throw new MaestroError("BAD_INPUT", `there is no key "${name}"; \`maestro keys\` lists those that are`, {
      key: name,
    });
  }

  find(name: string): DeployKey | undefined {
    return this.#keys.get(name);
  }

  all(): DeployKey[] {
    return [...this.#keys.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Throws `BAD_INPUT` where the name has another key, or the key another name. */
  refuseConflict({ name, blob }: Pick<DeployKey, "name" | "blob">): void {
    const known = this.find(name);
    if (known && known.blob !== blob) {
      throw new MaestroError(
        "BAD_INPUT",
        `${name} is the name of another key (${known.fingerprint}); choose another name, or remove that one first: maestro keys remove ${name}`,
        { key: name },
      );
    }
    const same = this.all().find((other) => other.blob === blob && other.name !== name);
    if (same === undefined) return;
    const message = `this key is there already, as ${same.name}; to change its apps add it under that name`;
    throw new MaestroError("BAD_INPUT", message, { key: same.name });
  }

  async save(key: DeployKey): Promise<void> {
    await writeAtomic(this.#path(key.name), `${JSON.stringify(key, null, 2)}\n`);
    this.#keys.set(key.name, key);
  }

  async remove(name: string): Promise<void> {
    await rm(this.#path(name), { force: true });
    this.#keys.delete(name);
  }

  async #read(): Promise<void> {
    await removeTemporary(this.#directory);
    for (const file of await namesIn(this.#directory)) {
      const path = join(this.#directory, file);
      try {
        const key = DeployKey.parse(JSON.parse(await readFile(path, "utf8")));
        this.#keys.set(key.name, key);
      } catch (error) {
        throw new MaestroError(
          "INTERNAL",
          `${path} is not the file of a key; mend it, or remove it and the line of that key in authorized_keys`,
          { path },
          { cause: error },
        );
      }
    }
  }

  #path(name: string): string {
    return join(this.#directory, `${name}.json`);
  }
}

export const reportKey = ({ name, type, fingerprint, apps, addedAt }: DeployKey): KeyReport => ({
  key: name,
  type,
  fingerprint,
  apps,
  addedAt,
});
