import { composeBuffer, writeComposed } from "../../http/buffers.ts";
import type { RequestHead } from "../../http/request.ts";
import type { Wire } from "../../http/wire.ts";
import type { Admission } from "./admission.ts";
import { isReading } from "./attempts.ts";
import { basic } from "./backend.ts";
import { authenticate, type Entrance, leadsOut, pathAt, readTarget } from "./entrance.ts";
import type { Home } from "./home.ts";
import type { KeptFields } from "./kept-fields.ts";
import { mayCarrySequence } from "./sequence-places.ts";

const noBody = Buffer.alloc(0);
/** Heads and bodies up to this leave in one packet. */
const togetherBytes = 64 * 1024;

/**
 * A request for the byte path: whoever asks may, it goes to the server as it came but for the first lines of its head, and
 * so does its answer to the app. It is kept whole, so that it can be sent again, and to the other home.
 */
export class KeptRequest {
  readonly method: string;
  readonly home: Home;
  /** It changes nothing. */
  readonly isReading: boolean;
  readonly #target: string;
  readonly #fields: Buffer;
  readonly #body: Buffer;
  #bodyCame = 0;

  constructor(
    { method, contentLength }: RequestHead,
    asked: { target: string; path: string[]; home: Home; fields: Buffer },
  ) {
    this.method = method;
    this.home = asked.home;
    this.isReading = isReading(method, asked.path);
    this.#target = asked.target;
    this.#fields = asked.fields;
    this.#body = contentLength === 0 ? noBody : Buffer.allocUnsafe(contentLength);
  }

  /** More of its body. */
  add(bytes: Buffer, from: number, end: number): void {
    if (end > from) this.#bodyCame += bytes.copy(this.#body, this.#bodyCame, from, end);
  }

  sendTo(server: Wire, { side, backend, authorization }: Admission): void {
    const first = this.#firstLines(backend.prefix + pathAt(side, this.#target), backend.host, authorization);
    const into = composeBuffer();
    let at = into.write(first, 0, "latin1");
    at += this.#fields.copy(into, at);
    const isTogether = at + this.#body.length <= togetherBytes;
    if (isTogether && this.#body.length > 0) at += this.#body.copy(into, at);
    writeComposed(server, at);
    if (!isTogether) server.write(this.#body);
  }

  /** As it came, for the endpoint's general path. */
  get asItCame(): Buffer {
    const { app, password } = this.home.account;
    const first = this.#firstLines(this.#target, "localhost", basic(app, password));
    return Buffer.concat([Buffer.from(first, "latin1"), this.#fields, this.#body]);
  }

  #firstLines(target: string, host: string, authorization: string): string {
    return `${this.method} ${target} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\n`;
  }
}

/**
 * Null for what has to be refused, or whose answer has to be changed: the general path looks at it again, and decides for
 * itself.
 */
export function keep(
  head: RequestHead,
  bytes: Buffer,
  { bytes: fields, credentials }: KeptFields,
  entrance: Entrance,
): KeptRequest | null {
  const target = head.target(bytes);
  const asked = readTarget(target);
  if (!asked) return null;
  const { path, search } = asked;
  if (path.length < 2 || path[1] === "_changes" || leadsOut(path)) return null;
  const home = authenticate(credentials, entrance);
  if (home === null || home.account.app !== path[0]) return null;
  if (home.remote !== null && mayCarrySequence(head.method, path, search)) return null;
  return new KeptRequest(head, { target, path, home, fields });
}
