import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Variables } from "../app/app-config.ts";
import { MaestroError } from "../errors.ts";
import { removeTemporary, writeAtomic } from "../lib/atomic-file.ts";
import { namesIn } from "../lib/directory.ts";

/** state/config/APP/cN.json. Never changed: each change of an app's config is a version of its own. */
const ConfigFile = z.object({
  v: z.literal(1),
  app: z.string(),
  version: z.int().min(1),
  values: z.record(z.string(), z.string()),
});

/**
 * The values that apps were given, by version. They are nowhere else: not in the registry, the releases, the deploys or
 * the log. Only Maestro's user can read the files, and enter the directory that they are in.
 */
export class Configs {
  readonly #directory: string;

  constructor(home: string) {
    this.#directory = join(home, "state", "config");
  }

  /** None for null. Throws `INTERNAL` when it cannot be used: an app must not start without what it was given. */
  async read(app: string, version: number | null): Promise<Variables> {
    if (version === null) return {};
    const path = this.#path(app, version);
    try {
      const config = ConfigFile.parse(JSON.parse(await readFile(path, "utf8")));
      if (config.app === app && config.version === version) return config.values;
    } catch {
      // A parser quotes what it does not understand, which here is a secret.
    }
    throw new MaestroError(
      "INTERNAL",
      `${path}, the config of ${app}, is not there or was damaged; restore it, or go to a release with another config: \`maestro rollback ${app}\``,
      { app, config: version, path },
    );
  }

  /** Durable when it resolves, with the number of the new version. */
  async write(app: string, values: Variables, above: number): Promise<number> {
    const version = Math.max(above, ...(await this.#versions(app))) + 1;
    const text = `${JSON.stringify({ v: 1, app, version, values }, null, 2)}\n`;
    await writeAtomic(this.#path(app, version), text, 0o600);
    return version;
  }

  /** Removes the versions that no release has, and what was never finished. Only in the app's turn. */
  async sweep(app: string, kept: ReadonlySet<number>): Promise<void> {
    await removeTemporary(join(this.#directory, app));
    for (const version of await this.#versions(app)) {
      if (!kept.has(version)) await rm(this.#path(app, version), { force: true });
    }
  }

  async forget(app: string): Promise<void> {
    await rm(join(this.#directory, app), { recursive: true, force: true });
  }

  async #versions(app: string): Promise<number[]> {
    const names = await namesIn(join(this.#directory, app));
    return names.flatMap((name) => {
      const number = /^c([1-9]\d{0,8})\.json$/.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    });
  }

  #path(app: string, version: number): string {
    return join(this.#directory, app, `c${version}.json`);
  }
}
