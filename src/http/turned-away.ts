import type { Deadlines, Timed } from "./deadlines.ts";
import { clientTimes } from "./times.ts";
import type { Open, Reader, Wire } from "./wire.ts";

const answer = Buffer.from(
  "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
);

/** A client for whom there are too many already: answered without waiting for what he asks, and closed. */
export class TurnedAway implements Reader, Timed {
  dueAt: number;
  readonly #wire: Wire;
  readonly #deadlines: Deadlines;

  constructor(open: Open, deadlines: Deadlines) {
    this.#deadlines = deadlines;
    this.dueAt = deadlines.in(clientTimes.lingerMs);
    this.#wire = open(this);
    this.#wire.write(answer);
    this.#wire.end();
    deadlines.add(this);
  }

  onBytes(): void {}

  onEnd(): void {
    this.#wire.destroy();
  }

  onClose(): void {
    this.#deadlines.delete(this);
  }

  onDue(): void {
    this.#wire.destroy();
  }
}
