import type { Log } from "../../lib/log.ts";
import type { DataEvent } from "../../protocol/data.ts";
import { describe } from "./health.ts";
import type { Side } from "./sequences.ts";
import type { ServingRecord } from "./serving-record.ts";

/** From which of its two homes a database is served, and whom that concerns. */
export class Serving {
  /** Aborted when the side changes, or is about to: feeds end then, and are asked for again. */
  leaving = new AbortController();
  readonly #record: ServingRecord;
  readonly #tell: (moved: Pick<DataEvent, "event" | "reason">) => Promise<void>;
  readonly #log: Log;
  #change = Promise.withResolvers<void>();

  constructor(
    record: ServingRecord,
    tell: (moved: Pick<DataEvent, "event" | "reason">) => Promise<void>,
    log: Log,
  ) {
    this.#record = record;
    this.#tell = tell;
    this.#log = log;
  }

  get side(): Side {
    return this.#record.side;
  }

  /** Resolves when the side changes. */
  changed(): Promise<void> {
    return this.#change.promise;
  }

  async moveTo(side: Side, reason: string): Promise<void> {
    await this.#record.move(side);
    this.endFeeds();
    this.#change.resolve();
    this.#change = Promise.withResolvers();
    const event = side === "remote" ? "failed over" : "came back";
    this.#tell({ event, reason }).catch((error: unknown) =>
      this.#log.error({ error: describe(error) }, "data.event-not-kept"),
    );
  }

  endFeeds(): void {
    const { leaving } = this;
    this.leaving = new AbortController();
    leaving.abort();
  }
}
