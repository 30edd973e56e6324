import type { IncomingMessage } from "node:http";

/** Bodies up to this are kept, so that a request can be sent again, bytes. */
export const keptBytes = 1024 * 1024;
const noBody = Buffer.alloc(0);

/** The whole of a small body; null: it is long, or its length is not known, and is passed on as it comes. */
export async function keptBody(request: IncomingMessage): Promise<Buffer | null> {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  if (encoding !== undefined) return null;
  if (length === undefined || length === "0") return noBody;
  if (Number(length) > keptBytes) return null;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.once("end", () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
  request.once("error", reject);
  return promise;
}
