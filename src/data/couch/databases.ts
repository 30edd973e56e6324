import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory } from "../../lib/atomic-file.ts";
import { namesIn } from "../../lib/directory.ts";
import { Serializer } from "../../lib/serialize.ts";
import { Database } from "./database.ts";
import { CouchError, notFound } from "./errors.ts";

/** A database that found the disk full is opened again when there is so much room, bytes: twice LevelDB's buffer. */
const roomBytes = 8 * 1024 * 1024;
/** What is being removed lies under such a name until it is gone. */
const removed = ".removed";

/** All databases of a server: a directory each, opened at first use. */
export class Databases {
  readonly #directory: string;
  readonly #open = new Map<string, Promise<Database>>();
  readonly #turns = new Serializer<string>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async at(directory: string): Promise<Databases> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await namesIn(directory)) {
      if (name.endsWith(removed)) await rm(join(directory, name), { recursive: true, force: true });
    }
    return new Databases(directory);
  }

  /** In the order of their names. */
  async names(): Promise<string[]> {
    const entries = await namesIn(this.#directory);
    return entries
      .filter((entry) => !entry.endsWith(removed))
      .map(decodeURIComponent)
      .sort();
  }

  /** Throws 404 when there is none of that name. */
  async get(name: string): Promise<Database> {
    const open = await this.#open.get(name);
    if (open && !(open.isStuck && (await this.#hasRoom()))) return open;
    if (open) await this.#close(name, open);
    checkName(name);
    const exists = (await namesIn(this.#directory)).includes(encodeURIComponent(name));
    if (!exists) throw notFound("Database does not exist.");
    return this.#turns.run(name, () => this.#opened(name));
  }

  /** The names of those that take no writes. */
  async stuck(): Promise<string[]> {
    const open = await Promise.allSettled(this.#open.values());
    return open.flatMap((one) => (one.status === "fulfilled" && one.value.isStuck ? [one.value.name] : []));
  }

  /** Whether it is worth while to open one again that could not write: LevelDB writes when it is opened. */
  async #hasRoom(): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#directory);
    return bavail * bsize >= roomBytes;
  }

  /** One that is stuck is closed, to be opened again by whoever asks for it. */
  #close(name: string, stuck: Database): Promise<void> {
    return this.#turns.run(name, async () => {
      if ((await this.#open.get(name)) !== stuck) return;
      this.#open.delete(name);
      await stuck.close();
    });
  }

  #opened(name: string): Promise<Database> {
    const open = this.#open.get(name) ?? Database.open(name, this.#path(name));
    this.#open.set(name, open);
    open.catch(() => this.#open.delete(name));
    return open;
  }

  /** Throws 412 when there is one already. It is there after a power cut, once this has resolved. */
  async create(name: string): Promise<Database> {
    checkName(name);
    return this.#turns.run(name, async () => {
      if ((await namesIn(this.#directory)).includes(encodeURIComponent(name))) {
        throw new CouchError(
          412,
          "file_exists",
          "The database could not be created, the file already exists.",
        );
      }
      await mkdir(this.#path(name), { mode: 0o700 });
      await syncDirectory(this.#directory);
      const database = await this.#opened(name);
      await syncDirectory(this.#path(name));
      return database;
    });
  }

  async remove(name: string): Promise<void> {
    const database = await this.get(name);
    await this.#turns.run(name, async () => {
      this.#open.delete(name);
      await database.close();
      const grave = join(this.#directory, `${randomUUID()}${removed}`);
      await rename(this.#path(name), grave);
      await syncDirectory(this.#directory);
      await rm(grave, { recursive: true, force: true });
    });
  }

  /** Feeds that wait end with what they have: whoever follows asks again. */
  async endFeeds(): Promise<void> {
    for (const open of await Promise.allSettled(this.#open.values())) {
      if (open.status === "fulfilled") open.value.endFeeds();
    }
  }

  async close(): Promise<void> {
    const open = await Promise.allSettled(this.#open.values());
    this.#open.clear();
    await Promise.allSettled(
      open.map((result) => (result.status === "fulfilled" ? result.value.close() : null)),
    );
  }

  #path(name: string): string {
    return join(this.#directory, encodeURIComponent(name));
  }
}

/** CouchDB's rule for the names of databases; those that begin with an underscore are the server's own. */
function checkName(name: string): void {
  if (/^[a-z][a-z0-9_$()+/-]{0,237}$/.test(name) || name === "_users" || name === "_replicator") return;
  throw new CouchError(
    400,
    "illegal_database_name",
    `Name: '${name.slice(0, 240)}'. Only lowercase characters (a-z), digits (0-9), and any of the characters _, $, (, ), +, -, and / are allowed. Must begin with a letter.`,
  );
}
