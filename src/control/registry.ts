import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { App, type AppUser, hostnamesOf } from "../app/app.ts";
import { sharesHostname } from "../app/mount.ts";
import { firstAppUid, type UidBlock, uidBlockAround, uidBlockOf } from "../app/uids.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { removeTemporary, syncDirectory, writeAtomic } from "../lib/atomic-file.ts";

/** A registry file that cannot be used: it is kept as it is, reported, and its app is left alone. */
export type BrokenApp = { name: string; path: string; problem: string };

/** What is wanted: one file per app under state/apps/, replaced atomically and synced. */
export class Registry {
  readonly #directory: string;
  readonly #uidFile: string;
  readonly #domain: string;
  readonly #apps = new Map<string, App>();
  /** Of apps that are being made: whoever comes meanwhile gets the same one. */
  readonly #creations = new Map<string, Promise<App>>();
  readonly #broken = new Map<string, BrokenApp>();
  /** The users that its apps get. None is given twice: files that a removed app left behind have no new owner. */
  #uids: UidBlock;
  #nextUid: number;

  private constructor(home: string, domain: string) {
    this.#directory = join(home, "state", "apps");
    this.#uidFile = join(home, "state", "next-uid");
    this.#domain = domain;
    this.#uids = uidBlockOf(home);
    this.#nextUid = firstAppUid(this.#uids);
  }

  get uids(): UidBlock {
    return this.#uids;
  }

  /** Reads all apps. A file that does not parse is set aside as broken; the others go on. */
  static async open(home: string, domain: string): Promise<Registry> {
    const registry = new Registry(home, domain);
    await mkdir(registry.#directory, { recursive: true, mode: 0o700 });
    for (const file of await readdir(registry.#directory)) {
      if (file.endsWith(".json")) await registry.#read(file.slice(0, -".json".length));
    }
    await registry.#restoreUidCounter();
    return registry;
  }

  /** Removes what a controller that was killed had not finished writing. */
  async removeTorn(): Promise<void> {
    await removeTemporary(this.#directory);
  }

  async #read(name: string): Promise<void> {
    const path = join(this.#directory, `${name}.json`);
    try {
      const app = App.parse(JSON.parse(await readFile(path, "utf8")));
      if (app.name !== name) throw new Error(`it names the app "${app.name}"`);
      this.#apps.set(name, app);
    } catch (error) {
      const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      this.#broken.set(name, { name, path, problem: `${path} cannot be used: ${reason}` });
    }
  }

  async #restoreUidCounter(): Promise<void> {
    const known = [...this.#apps.values()].map((app) => app.user?.uid ?? 0);
    const text = await readFile(this.#uidFile, "utf8").catch((error: unknown) => {
      if (isSystemError(error, "ENOENT")) return "";
      throw error;
    });
    const stored = /^\d{10}$/.test(text.trim()) ? Number(text) : 0;
    const next = Math.max(stored, ...known.map((uid) => uid + 1));
    if (next > 1) this.#uids = uidBlockAround(next - 1);
    this.#nextUid = Math.max(firstAppUid(this.#uids), next);
  }

  all(): App[] {
    return [...this.#apps.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  broken(): BrokenApp[] {
    return [...this.#broken.values()];
  }

  /** The app of that name, if there is one that can be used. */
  known(name: string): App | undefined {
    return this.#apps.get(name);
  }

  /** As `known`, but throws for an app whose file cannot be used. */
  find(name: string): App | undefined {
    const broken = this.#broken.get(name);
    if (broken) {
      throw new MaestroError("INTERNAL", `${broken.problem}. Mend or remove that file and restart Maestro.`, {
        app: name,
        path: broken.path,
      });
    }
    return this.#apps.get(name);
  }

  /** Throws `APP_NOT_FOUND`. */
  get(name: string): App {
    const app = this.find(name);
    if (app) return app;
    throw new MaestroError(
      "APP_NOT_FOUND",
      `there is no app "${name}"; \`maestro apps\` lists those there are, \`maestro deploy --app ${name}\` makes it`,
      { app: name },
    );
  }

  /** The app to which a hostname belongs, by its own hostnames or by its default one. */
  ownerOf(hostname: string): App | undefined {
    return this.all().find((app) => hostnamesOf(app, this.#domain).includes(hostname));
  }

  /** The apps that have a part of a mount's hostname. */
  sharing(mount: string): App[] {
    return this.all().filter((app) =>
      hostnamesOf(app, this.#domain).some((other) => sharesHostname(mount, other)),
    );
  }

  isAppUid(uid: number): boolean {
    return uid >= this.#uids.from && uid < this.#nextUid;
  }

  /** Registers an app if it is new. `withUser`: it gets a user of its own. */
  async create(name: string, withUser: boolean): Promise<App> {
    const known = this.find(name);
    if (known) return known;
    const creation = this.#creations.get(name) ?? this.#create(name, withUser);
    this.#creations.set(name, creation);
    try {
      return await creation;
    } finally {
      this.#creations.delete(name);
    }
  }

  async #create(name: string, withUser: boolean): Promise<App> {
    const user = withUser ? await this.#newUser() : null;
    return this.save({
      v: 1,
      name,
      hostnames: [],
      stripped: [],
      user,
      release: null,
      previousRelease: null,
      served: [],
      deploy: null,
      config: null,
      scale: {},
      limits: {},
      proxy: {},
      stopped: false,
      mode: null,
    });
  }

  async #newUser(): Promise<AppUser> {
    const uid = this.#nextUid;
    if (uid > this.#uids.to) {
      throw new MaestroError("BUSY", "every user that this Maestro may give to an app has been given", {
        uid,
      });
    }
    this.#nextUid += 1;
    await writeAtomic(this.#uidFile, `${this.#nextUid}\n`);
    return { uid, gid: uid };
  }

  /** Durable when it resolves; readers of the file see the old or the new. */
  async save(app: App): Promise<App> {
    await writeAtomic(join(this.#directory, `${app.name}.json`), `${JSON.stringify(app, null, 2)}\n`);
    this.#apps.set(app.name, app);
    return app;
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#directory, `${name}.json`), { force: true });
    await syncDirectory(this.#directory);
    this.#apps.delete(name);
  }
}
