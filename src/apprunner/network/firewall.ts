import { z } from "zod";
import { Serializer } from "../../lib/serialize.ts";
import { apply, listChain, listSet, listTables, NftError } from "./nft.ts";
import {
  badInput,
  checkedRules,
  checkPorts,
  type FirewallOptions,
  isPort,
  isTable,
  isWithin,
  nobodysUid,
  tableOf,
} from "./options.ts";
import { addOwner, deleteOwner, deleteTable, type Rules, replaceOpenPorts, replaceTable } from "./ruleset.ts";

/**
 * The nftables table of one Maestro, `inet maestro_ID`: what the users of its apps may reach while they share the
 * machine's network, and that a leased port is answered by its owner alone. The table outlives the process.
 * All changes are atomic. When something else removed the table (`nft flush ruleset`), the next change brings all of
 * it back. Errors are `MaestroError`s with the words of nft(8).
 */
export class Firewall {
  readonly table: string;
  #rules: Rules;
  readonly #queue = new Serializer<"table">();
  #isClosed = false;

  private constructor(table: string, rules: Rules) {
    this.table = table;
    this.#rules = rules;
  }

  /**
   * Makes the table, or replaces one that is there without a moment between. With `keep`, ports that an earlier
   * controller's table has an owner for keep it; those of users outside of `uids` go.
   */
  static async open(options: FirewallOptions, { keep = false } = {}): Promise<Firewall> {
    const table = tableOf(options.id);
    const rules = checkedRules(options);
    const owners = keep ? await readOwners(table, rules.uids) : rules.owners;
    const firewall = new Firewall(table, { ...rules, owners });
    await firewall.#replace();
    return firewall;
  }

  /** Whether it can be had on this machine: null, or why not, in a sentence. Leaves nothing behind. */
  static async probe(): Promise<string | null> {
    if (process.platform !== "linux") return "nftables is a part of Linux, and this is not Linux";
    if (process.getuid?.() !== 0) return "only root may set rules of nftables";
    const table = tableOf(`probe_${process.pid}`);
    const uids = { from: nobodysUid, to: nobodysUid };
    const options = {
      id: "probe",
      uids,
      maestros: uids,
      ports: { from: 1, to: 1 },
      openPorts: [],
      closedPorts: [],
    };
    try {
      await apply("be tried", `${replaceTable(table, checkedRules(options))}delete table inet ${table}\n`);
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /**
   * Other tables that rule over the users of this Maestro's apps, which nobody can reach then: of a Maestro that happens to
   * have the same users, or of one whose home was removed without it.
   */
  async rivals(): Promise<string[]> {
    const { from, to } = this.#rules.uids;
    const others = (await listTables()).filter((table) => isTable(table) && table !== this.table);
    const chains = await Promise.all(others.map((table) => listChain(table, "output").catch(() => ""))); // It has gone.
    return others.filter((_, index) => chains[index]?.includes(`skuid ${from}-${to} `));
  }

  /** The ports that have an owner, with its uid. */
  get owners(): ReadonlyMap<number, number> {
    return this.#rules.owners;
  }

  /** From now on, `port` is answered by `uid` alone, which may also reach it. Takes the port from an earlier owner. */
  async own(uid: number, port: number): Promise<void> {
    const { uids } = this.#rules;
    if (!isWithin(uid, uids)) throw badInput(`uid ${uid} is none of ${uids.from}-${uids.to}`, { uid });
    if (!isPort(port)) throw badInput(`${port} is not a port`, { port });
    await this.#change(({ owners }) => {
      const before = owners.get(port);
      const taken = before === undefined || before === uid ? "" : deleteOwner(this.table, before, port);
      return {
        script: taken + addOwner(this.table, uid, port),
        changed: { owners: new Map(owners).set(port, uid) },
      };
    });
  }

  /** Gives the port back, if it is `uid` that has it. */
  async disown(uid: number, port: number): Promise<void> {
    await this.#change(({ owners }) => {
      if (owners.get(port) !== uid) return null;
      const rest = new Map(owners);
      rest.delete(port);
      return { script: deleteOwner(this.table, uid, port), changed: { owners: rest } };
    });
  }

  /** Gives back what nobody has any more: the ports of instances that died with their controller. */
  async disownAllBut(ports: readonly (number | null)[]): Promise<void> {
    await this.#change(({ owners }) => {
      const gone = [...owners].filter(([port]) => !ports.includes(port));
      if (gone.length === 0) return null;
      return {
        script: gone.map(([port, uid]) => deleteOwner(this.table, uid, port)).join(""),
        changed: { owners: new Map([...owners].filter(([port]) => ports.includes(port))) },
      };
    });
  }

  async setOpenPorts(openPorts: readonly number[]): Promise<void> {
    checkPorts(openPorts);
    await this.#change(() => ({
      script: replaceOpenPorts(this.table, openPorts),
      changed: { openPorts: [...openPorts] },
    }));
  }

  /** Puts the table back if it is gone, and says whether it was. For a look from time to time. */
  async restore(): Promise<boolean> {
    return this.#queue.run("table", async () => {
      if (this.#isClosed) return false;
      try {
        await listSet(this.table, "owners");
        return false;
      } catch (error) {
        if (!isMissing(error)) throw error;
        await this.#replace();
        return true;
      }
    });
  }

  /** Removes the table, for good: from now on apps reach what any user of the machine does. */
  async close(): Promise<void> {
    await this.#queue.run("table", () => {
      this.#isClosed = true;
      return apply(`remove ${this.table}`, `${deleteTable(this.table)}\n`);
    });
  }

  /** One after the other. What nft refuses is not remembered either. */
  async #change(plan: (rules: Rules) => Change | null): Promise<void> {
    await this.#queue.run("table", async () => {
      const change = this.#isClosed ? null : plan(this.#rules);
      if (change === null) return;
      const before = this.#rules;
      this.#rules = { ...before, ...change.changed };
      try {
        await apply(`change ${this.table}`, change.script);
      } catch (error) {
        if (isMissing(error)) return this.#replace();
        this.#rules = before;
        throw error;
      }
    });
  }

  async #replace(): Promise<void> {
    await apply(`set up ${this.table}`, replaceTable(this.table, this.#rules));
  }
}

type Change = { script: string; changed: Partial<Rules> };

const Owners = z.object({
  nftables: z.array(
    z.object({
      set: z
        .object({ elem: z.array(z.object({ concat: z.tuple([z.int(), z.int()]) })).default([]) })
        .optional(),
    }),
  ),
});

async function readOwners(table: string, uids: Rules["uids"]): Promise<Rules["owners"]> {
  try {
    const { nftables } = Owners.parse(await listSet(table, "owners"));
    const elements = nftables.flatMap(({ set }) => set?.elem ?? []).map(({ concat }) => concat);
    return new Map(elements.filter(([uid]) => isWithin(uid, uids)).map(([uid, port]) => [port, uid]));
  } catch (error) {
    if (isMissing(error)) return new Map();
    throw error;
  }
}

const isMissing = (error: unknown) => error instanceof NftError && error.missing;
