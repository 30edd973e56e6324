import type { Fields } from "./fields.ts";

/** What `Connection` says (RFC 9110, 7.6.1), of all its lines together. */
export class ConnectionField {
  isClose = false;
  isUpgrade = false;
  /** Fields that are meant for the next neighbour only, in lower case. */
  named: readonly string[] = none;

  clear(): void {
    this.isClose = false;
    this.isUpgrade = false;
    this.named = none;
  }

  add(fields: Fields, bytes: Buffer, index: number): void {
    if (fields.valueIs(bytes, index, "keep-alive")) return;
    for (const option of fields.value(bytes, index).split(",")) this.#addOption(option.trim().toLowerCase());
  }

  #addOption(option: string): void {
    if (option === "close") this.isClose = true;
    else if (option === "upgrade") this.isUpgrade = true;
    else if (option !== "" && !neverNamed.has(option)) this.named = [...this.named, option];
  }
}

const none: readonly string[] = [];

/** Whoever names these would make the message mean something else to the next reader. */
const neverNamed = new Set(["host", "content-length", "content-type", "transfer-encoding", "keep-alive"]);
