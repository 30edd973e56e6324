import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AppName } from "../app/app.ts";
import { isSystemError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { namesIn } from "../lib/directory.ts";
import { isSameSecret } from "../lib/same-secret.ts";
import { newPassword } from "./secrets.ts";

/** An app's database: <home>/state/data/apps/NAME.json, mode 0600. It is made at first use. */
export const Account = z.object({
  v: z.literal(1),
  app: AppName,
  /** The user's name, and the database's: both are the app's. */
  password: z.string().min(16),
  /** The database's second home, with its credentials; null: it has none. */
  remote: z.string().nullable().default(null),
});
export type Account = z.infer<typeof Account>;

/** The accounts of all apps, as files. */
export class Accounts {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async all(): Promise<Account[]> {
    const names = (await namesIn(this.#directory)).filter((name) => name.endsWith(".json"));
    const found = await Promise.all(names.sort().map((name) => this.find(name.slice(0, -".json".length))));
    return found.filter((account) => account !== null);
  }

  async find(app: string): Promise<Account | null> {
    try {
      return Account.parse(JSON.parse(await readFile(this.#path(app), "utf8")));
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return null;
      throw error;
    }
  }

  /** The account of an app; one that has none gets one. */
  async ensure(app: string): Promise<Account> {
    const known = await this.find(app);
    return known ?? this.save({ v: 1, app, password: newPassword(), remote: null });
  }

  async save(account: Account): Promise<Account> {
    await writeAtomic(this.#path(account.app), JSON.stringify(account));
    return account;
  }

  async remove(app: string): Promise<void> {
    await rm(this.#path(app), { force: true });
  }

  #path(app: string): string {
    return join(this.#directory, `${AppName.parse(app)}.json`);
  }
}

export const isPasswordOf = ({ password }: Account, given: string) => isSameSecret(password, given);
