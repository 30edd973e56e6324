import { type Fields, kinds } from "../../http/fields.ts";
import type { RequestHead } from "../../http/request.ts";
import type { Credentials } from "./entrance.ts";
import { keptBytes } from "./kept-body.ts";

/** Of a request's head: what the server gets of it, with the empty line, and who asks. Mostly the same as the time before. */
export type KeptFields = { bytes: Buffer; credentials: Credentials };

/** What concerns one connection only, and what the endpoint says in its own words. */
const notPassed: ReadonlySet<number> = new Set([
  kinds.host,
  kinds.connection,
  kinds.hop,
  kinds.upgrade,
  kinds.expect,
  kinds.trailer,
  kinds.authorization,
  kinds.cookie,
  kinds.lastEventId,
  kinds.couchProxy,
]);

/** Null for a request that is rare, or too long to be kept. */
export function keepFields(head: RequestHead, bytes: Buffer): KeptFields | null {
  if (head.isUncommon || head.isChunked || head.expectsContinue || head.contentLength > keptBytes)
    return null;
  const credentials = credentialsIn(head.fields, bytes);
  return credentials && { bytes: passedOf(head, bytes), credentials };
}

/** Null when some come twice: two readers could take different ones. */
function credentialsIn(fields: Fields, bytes: Buffer): Credentials | null {
  const found: Credentials = {};
  for (let index = 0; index < fields.count; index += 1) {
    const kind = fields.kind(index);
    if (kind === kinds.authorization) {
      if (found.authorization !== undefined) return null;
      found.authorization = fields.value(bytes, index);
    } else if (kind === kinds.cookie) {
      if (found.cookie !== undefined) return null;
      found.cookie = fields.value(bytes, index);
    }
  }
  return found;
}

/** The runs of the head that stay as they are, copied. */
function passedOf({ fields, named }: RequestHead, bytes: Buffer): Buffer {
  const runs: Buffer[] = [];
  let runStart = fields.start(0);
  let hasLength = false;
  for (let index = 0; index < fields.count; index += 1) {
    const kind = fields.kind(index);
    if (kind === kinds.contentLength) hasLength = true;
    if (!notPassed.has(kind) && !(named.length > 0 && fields.isNamedIn(bytes, index, named))) continue;
    runs.push(bytes.subarray(runStart, fields.start(index)));
    runStart = fields.start(index + 1);
  }
  runs.push(bytes.subarray(runStart, fields.end));
  runs.push(Buffer.from(hasLength ? "\r\n" : "Content-Length: 0\r\n\r\n"));
  return Buffer.concat(runs);
}
