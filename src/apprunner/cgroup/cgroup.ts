import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Limits } from "../../app/limits.ts";
import { isSystemError, MaestroError } from "../../errors.ts";
import { poll } from "../../lib/poll.ts";
import { procsOf, readField, readNumber, removeGroup, writeControl } from "./control-file.ts";
import { cpuTimeMs, limitCpu, lowerWeight, throttledPeriods } from "./cpu.ts";
import { turn } from "./freeze.ts";
import { isEmpty, killAll, membersOf } from "./kill.ts";
import { limitMemory, memoryLimit, memoryUsage, oomKillsOf } from "./memory.ts";
import { type Controller, type Part, partWith } from "./part.ts";

/** What a group uses. Null: this machine does not count it. */
export type Usage = {
  /** Bytes, page cache and kernel memory included. `peak`: the most it ever was; null on Linux before 5.19. */
  memory: { now: number; peak: number | null } | null;
  /** Processes and threads. */
  pids: number | null;
  /** How often a process or thread was refused for the limit of pids. */
  pidsRefused: number | null;
  /** CPU time of all that ever ran in it, ms. */
  cpuMs: number | null;
  /** In how many periods (20 to 100 ms) it was made to stand still for the limit of CPU. */
  cpuThrottled: number | null;
};

/** The control group of one instance: see cgroups(7). In v1 one in each hierarchy, which here are one thing. */
export class Cgroup {
  readonly key: string;
  readonly #parts: readonly Part[];

  constructor(key: string, parts: readonly Part[]) {
    this.key = key;
    this.#parts = parts;
  }

  /**
   * A process of one thread, such as a shell, that writes "0" to each of these files is in the group, and so is
   * whatever it starts from then on. Not its pid: in v1 the file is `tasks`, where "0" takes 30 µs, and a pid, for which
   * the kernel stops all forks and exits of the machine for a moment, takes 4 ms and more.
   */
  get joinFiles(): string[] {
    return this.#parts.map(({ version, directory }) =>
      join(directory, version === 1 ? "tasks" : "cgroup.procs"),
    );
  }

  /**
   * Sets limits, also of a group that runs. What this machine cannot limit (`Cgroups.powers`) is passed over. Throws
   * `BAD_INPUT` when memory would be below what is in use, or CPU above what Maestro's own group has; then the others
   * have not been changed either. Fewer pids than there are kill nobody: there come no new ones.
   */
  limit({ memory, cpu, pids }: Limits): void {
    this.#with("memory", (part) => limitMemory(part, this.key, memory));
    this.#with("cpu", (part) => this.#limitCpu(part, cpu));
    this.#with("pids", ({ directory }) => writeControl(directory, "pids.max", pids ?? "max"));
  }

  #limitCpu(part: Part, cpu: number | null): void {
    try {
      limitCpu(part, cpu);
    } catch (cause) {
      if (!isSystemError(cause, "EINVAL") || cpu === null) throw cause;
      const message = `${this.key} cannot get ${cpu}% of a core: Maestro itself runs in a group that has less; choose a lower limit, or raise the one of Maestro`;
      throw new MaestroError("BAD_INPUT", message, { cpu }, { cause });
    }
  }

  /** Gives its processes less of the CPU than others as long as those want it. */
  giveWay(): void {
    this.#with("cpu", lowerWeight);
  }

  usage(): Usage {
    return {
      memory: this.#with("memory", memoryUsage),
      pids: this.#with("pids", ({ directory }) => readNumber(directory, "pids.current")),
      pidsRefused: this.#with("pids", ({ directory }) => readField(directory, "pids.events", "max")),
      cpuMs: this.#with("cpuacct", cpuTimeMs),
      cpuThrottled: this.#with("cpu", throttledPeriods),
    };
  }

  /** Bytes; null: none, or this machine cannot limit it. */
  memoryLimit(): number | null {
    return this.#with("memory", memoryLimit);
  }

  /** How many of its processes the kernel has killed for want of memory; null where memory is not limited. */
  oomKills(): number | null {
    return this.#with("memory", oomKillsOf);
  }

  /** The pids of what is in it now. */
  processes(): number[] {
    return membersOf(this.#parts);
  }

  isEmpty(): boolean {
    return isEmpty(this.#parts);
  }

  /** Ends everything in it, frozen or not, orphans included. Resolves when it is empty; throws `INTERNAL` after 5 s. */
  async kill(): Promise<void> {
    // What may run for a thousandth of the time only would take its time to die as well.
    if (!this.isEmpty()) this.#with("cpu", (part) => limitCpu(part, null));
    await killAll(this.#parts, this.key);
  }

  /** Stops all of it where it stands. Resolves when it does; throws `INTERNAL` where it cannot, and lets it go on. */
  async freeze(): Promise<void> {
    await turn(this.#freezer(), this.key, "frozen");
  }

  /** Lets it go on. */
  async thaw(): Promise<void> {
    await turn(this.#freezer(), this.key, "thawed");
  }

  #freezer(): Part {
    const freezer = partWith(this.#parts, "freezer");
    if (freezer !== null) return freezer;
    throw new MaestroError("INTERNAL", `${this.key} cannot be frozen: this machine has no freezer`, {
      key: this.key,
    });
  }

  /**
   * Removes it, once it is empty; the kernel may need a moment after the last process. Can be done twice. Throws
   * `INTERNAL` when something is in it.
   */
  async remove(): Promise<void> {
    const signal = AbortSignal.timeout(500);
    try {
      await poll(() => (this.#removed() ? true : null), { first: 1, most: 50 }, { signal });
    } catch (cause) {
      if (!signal.aborted) throw cause;
      const pids = this.processes();
      const message = `the control group of ${this.key} could not be removed: ${pids.join(", ") || "something"} is still in it; kill it first`;
      throw new MaestroError("INTERNAL", message, { key: this.key, pids }, { cause });
    }
  }

  #removed(): boolean {
    const there = this.#parts.filter(({ directory }) => existsSync(directory));
    return there.every(({ directory }) => procsOf(directory).length === 0 && removeGroup(directory));
  }

  #with<T>(controller: Controller, act: (part: Part) => T): T | null {
    const part = partWith(this.#parts, controller);
    return part === null ? null : act(part);
  }
}
