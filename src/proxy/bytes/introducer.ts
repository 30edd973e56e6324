import type { Deadlines, Timed } from "../../http/deadlines.ts";
import { clientTimes } from "../../http/times.ts";
import type { Open, Reader, Wire } from "../../http/wire.ts";
import { type Introduced, Introduction } from "./introduction.ts";

/** A connection of which a balancer still has to say whose it is. Whoever does not say it is answered nothing. */
export class Introducer implements Reader, Timed {
  readonly wire: Wire;
  dueAt: number;
  readonly #deadlines: Deadlines;
  readonly #introduction = new Introduction();
  readonly #onIntroduced: (introduced: Introduced, rest: Buffer) => void;

  constructor(
    open: Open,
    deadlines: Deadlines,
    onIntroduced: (introduced: Introduced, rest: Buffer) => void,
  ) {
    this.#deadlines = deadlines;
    this.#onIntroduced = onIntroduced;
    this.dueAt = deadlines.in(clientTimes.headMs);
    this.wire = open(this);
    deadlines.add(this);
  }

  onBytes(bytes: Buffer, length: number): void {
    const rest = this.#take(bytes, length);
    if (!rest) return;
    this.#deadlines.delete(this);
    this.#onIntroduced(this.#introduction.introduced, rest);
  }

  onEnd(): void {
    this.wire.destroy();
  }

  onClose(): void {
    this.#deadlines.delete(this);
  }

  onDue(): void {
    this.wire.destroy();
  }

  #take(bytes: Buffer, length: number): Buffer | null {
    try {
      return this.#introduction.take(bytes, length);
    } catch {
      this.wire.destroy();
      return null;
    }
  }
}
