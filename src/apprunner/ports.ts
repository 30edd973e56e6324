import getPort, { portNumbers } from "get-port";
import { MaestroError } from "../errors.ts";
import { Serializer } from "../lib/serialize.ts";

export type PortLease = Disposable & { readonly port: number; release(): void };

/** Below 32768, where the kernel takes the ports of outgoing connections from. */
export type PortRange = { from: number; to: number };
export const defaultPortRange: PortRange = { from: 20_000, to: 29_999 };

/**
 * The one place that gives out ports for instances. A port is given to one only, until it is released. That a port
 * is free says nothing of the next moment: who finds it taken asks for another.
 */
export class PortAllocator {
  readonly #leased = new Set<number>();
  readonly #turns = new Serializer<"lease">();
  readonly #ports: readonly number[];
  #next: number;

  constructor({ from, to }: PortRange = defaultPortRange) {
    this.#ports = [...portNumbers(from, to)];
    // Another start than last time: what an instance of an earlier controller may still hold is met less often.
    this.#next = Math.floor(Math.random() * this.#ports.length);
  }

  /** A port that nobody listens on, on any address of this machine. Throws `BUSY` when there is none. */
  async lease(): Promise<PortLease> {
    return this.#turns.run("lease", async () => {
      const candidates = [...this.#ports.slice(this.#next), ...this.#ports.slice(0, this.#next)];
      const port = await getPort({ port: candidates.filter((candidate) => !this.#leased.has(candidate)) });
      const found = this.#ports.indexOf(port);
      // get-port answers a random port when all that it was offered are taken.
      if (found === -1) throw noneFree(this.#ports);
      this.#next = (found + 1) % this.#ports.length;
      return this.reserve(port);
    });
  }

  /** Takes a port that is known to be in use, such as an adopted instance's. */
  reserve(port: number): PortLease {
    this.#leased.add(port);
    let held = true;
    const release = () => {
      if (held) this.#leased.delete(port);
      held = false;
    };
    return { port, release, [Symbol.dispose]: release };
  }
}

function noneFree(ports: readonly number[]): MaestroError {
  const range = `${ports.at(0)} to ${ports.at(-1)}`;
  return new MaestroError(
    "BUSY",
    `every port from ${range} is taken; stop an app, or what else listens there`,
  );
}
