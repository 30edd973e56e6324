import { space } from "../../http/characters.ts";
import { mostUnread } from "../../http/inbox.ts";
import type { RequestHead } from "../../http/request.ts";
import type { Asked } from "../mounts.ts";
import type { Place } from "../routes.ts";

/** A request as an instance gets it: its head, and as much of its body as had come with that. */
export class ComposedRequest implements Asked {
  readonly bytes: Buffer;
  readonly host: string;
  readonly method: string;
  /** It may be sent once more when nobody knows what became of it. */
  readonly isRepeatable: boolean;
  readonly expectsContinue: boolean;
  /** The protocol of the tunnel that it asks for. */
  readonly upgrade: string | null;
  readonly bodyLength: number;
  readonly beganAt = performance.now();
  place: Place | null = null;
  /** Of the body, with what frames it. */
  bodyCame: number;

  constructor(head: RequestHead, bytes: Buffer, bodyCame: number) {
    this.bytes = bytes;
    this.host = head.host;
    this.method = head.method;
    this.isRepeatable = head.isRepeatable;
    this.expectsContinue = head.expectsContinue;
    this.upgrade = head.upgrade;
    this.bodyLength = head.contentLength;
    this.bodyCame = bodyCame;
  }

  /** The target: it stands between two spaces. */
  get path(): string {
    const start = this.bytes.indexOf(space) + 1;
    return this.bytes.toString("latin1", start, this.bytes.indexOf(space, start));
  }

  get isWebSocket(): boolean {
    return this.upgrade?.toLowerCase() === "websocket";
  }

  /** Itself, and what is read ahead. */
  get heldBytes(): number {
    return this.bytes.length + mostUnread;
  }

  /** The value of a field, several of them as a list; "" without one. Looked for again each time: seldom. */
  field(name: string): string {
    const head = this.bytes.toString("latin1", 0, this.bytes.indexOf("\r\n\r\n"));
    const values: string[] = [];
    for (const line of head.split("\r\n").slice(1)) {
      const colon = line.indexOf(":");
      if (line.slice(0, colon).toLowerCase() === name) values.push(line.slice(colon + 1).trim());
    }
    return values.join(", ");
  }
}
