import { join } from "node:path";
import type { AuditEntry, DeployKey, KeyAdded, KeyReport } from "../app/key.ts";
import { MaestroError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import { Audit } from "./audit.ts";
import { AuthorizedKeys } from "./authorized-keys.ts";
import { openDoor } from "./door.ts";
import { type GatePlaces, gateCommand, gatePlaces, installGate } from "./install-gate.ts";
import { Keys, reportKey } from "./keys.ts";
import type { AccessPorts } from "./ports.ts";
import { parsePublicKey } from "./public-key.ts";
import { ensureSshUser, findSshUser, type SshUser } from "./ssh-user.ts";
import { Turns } from "./turns.ts";
import { Visitors } from "./visitors.ts";

export type AccessSettings = {
  home: string;
  /** Whom developers log in as; undefined: see `findSshUser`. */
  sshUser?: string | undefined;
  /** The file that sshd reads for that user; undefined: .ssh/authorized_keys in his home. */
  authorizedKeys?: string | undefined;
};

/**
 * Access over SSH: who may deploy what, and what of it was used. Nothing of it is there before the first key is added:
 * then the SSH user, his authorized_keys, the gate that sshd runs, and the door at which the gate asks.
 */
export class Access {
  readonly audit: Audit;
  readonly turns: Turns;
  readonly #settings: AccessSettings;
  readonly #ports: AccessPorts;
  readonly #log: Log;
  readonly #places: GatePlaces;
  readonly #keys: Keys;
  readonly #visitors: Visitors;
  #established: Promise<SshUser> | null = null;
  #close: () => Promise<void> = async () => {};

  private constructor(settings: AccessSettings, ports: AccessPorts, log: Log, keys: Keys) {
    this.#settings = settings;
    this.#ports = ports;
    this.#log = log;
    this.#keys = keys;
    this.#places = gatePlaces(settings.home);
    this.audit = new Audit(settings.home, log);
    this.turns = new Turns({ ports, audit: this.audit, sshUser: () => this.#established });
    this.#visitors = new Visitors({
      home: settings.home,
      ports,
      keys,
      turns: this.turns,
      audit: this.audit,
      log,
    });
  }

  static async open(settings: AccessSettings, ports: AccessPorts, log: Log): Promise<Access> {
    return new Access(settings, ports, log, await Keys.open(settings.home));
  }

  /** Opens the door where there are keys. What fails here is an error in the log: apps are served without it. */
  async start(): Promise<void> {
    if (this.#keys.all().length === 0) return;
    await this.#establish().catch((error: unknown) => this.#log.error({ err: error }, "access.failed"));
  }

  keys(): KeyReport[] {
    return this.#keys.all().map(reportKey);
  }

  /** Lets a key deploy these apps, and no others. Throws `BAD_INPUT` for what is no key, or one that is there otherwise. */
  async add(name: string, text: string, apps: readonly string[]): Promise<KeyAdded> {
    const key: DeployKey = {
      v: 1,
      name,
      ...parsePublicKey(text),
      apps: [...new Set(apps)].sort(),
      addedAt: this.#keys.find(name)?.addedAt ?? new Date().toISOString(),
    };
    this.#keys.refuseConflict(key);
    const changed = this.#keys.find(name) !== undefined;
    const user = await this.#establish();
    const file = this.#authorizedKeys(user);
    const { type, blob } = key;
    await file.put({ command: this.#command(name), type, blob, comment: `maestro:${name}` });
    await this.#keys.save(key);
    if (changed) this.#visitors.end(name, `the apps of the key ${name} have been changed`);
    this.#log.info({ key: name, apps: key.apps }, "key.added");
    return { ...reportKey(key), user: user.name, file: file.path, changed, notes: [] };
  }

  /** Takes a key away, and ends whatever it is being used for. */
  async remove(name: string): Promise<void> {
    this.#keys.get(name);
    // What the gate is told decides, so that comes first: the line alone lets nobody do anything.
    await this.#keys.remove(name);
    this.#visitors.end(name, `the key ${name} has been removed`);
    const user = await findSshUser(this.#settings.sshUser);
    if (user) await this.#authorizedKeys(user).remove(this.#command(name));
    this.#log.info({ key: name }, "key.removed");
  }

  async history(count: number, app: string | undefined): Promise<AuditEntry[]> {
    return this.audit.last(count, app);
  }

  async close(): Promise<void> {
    await this.#established?.catch(() => {}); // Then there is nothing to close.
    await this.#close();
  }

  async #establish(): Promise<SshUser> {
    this.#established ??= this.#prepare();
    try {
      return await this.#established;
    } catch (error) {
      this.#established = null;
      throw error;
    }
  }

  async #prepare(): Promise<SshUser> {
    const { sshUser } = this.#settings;
    const { directory, door } = this.#places;
    if (directory.includes("\n"))
      throw new MaestroError("BAD_INPUT", "the home's path has a line feed in it");
    const user = await ensureSshUser(sshUser, directory);
    await installGate(this.#places, await this.#ports.installNode(), user.gid);
    const opened = await openDoor(door, user.gid, this.#visitors.visits(user), this.#log);
    this.#close = () => opened.close();
    this.#log.info({ user: user.name, door }, "access.opened");
    return user;
  }

  #command(name: string): string {
    return gateCommand(this.#places, name);
  }

  #authorizedKeys(user: SshUser): AuthorizedKeys {
    return new AuthorizedKeys(this.#settings.authorizedKeys ?? join(user.home, ".ssh", "authorized_keys"));
  }
}
