import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { Document } from "pouchdb-core";
import { z } from "zod";
import { badRequest } from "./errors.ts";
import { parseJson } from "./exchange.ts";

/* Documents with their attachments as MIME parts (RFC 2046, RFC 2387), as CouchDB's replicator sends and reads them. */

type Part = { headers: ReadonlyMap<string, string>; body: Buffer };

export const newBoundary = () => randomUUID().replaceAll("-", "");

/** The parts of a document: its JSON, then each attachment in the order in which the JSON names them. */
export function relatedParts(document: Document, boundary: string): Buffer {
  const bodies: { name: string; type: string; data: Buffer }[] = [];
  const attachments = Object.entries(document._attachments ?? {}).map(([name, attachment]) => {
    const { data, ...rest } = attachment;
    if (data === undefined) return [name, attachment];
    const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data, "base64");
    bodies.push({ name, type: attachment.content_type, data: bytes });
    return [name, { ...rest, follows: true, length: bytes.length }];
  });
  const json = JSON.stringify({ ...document, _attachments: Object.fromEntries(attachments) });
  const chunks: Buffer[] = [
    Buffer.from(`--${boundary}\r\nContent-Type: application/json\r\n\r\n${json}\r\n--${boundary}`),
  ];
  for (const { name, type, data } of bodies) {
    const file = name.replace(/["\\\r\n]/g, "_");
    const head = [`Content-Disposition: attachment; filename="${file}"`, `Content-Type: ${headerSafe(type)}`];
    chunks.push(Buffer.from(`\r\n${head.join("\r\n")}\r\nContent-Length: ${data.length}\r\n\r\n`), data);
    chunks.push(Buffer.from(`\r\n--${boundary}`));
  }
  chunks.push(Buffer.from("--"));
  return Buffer.concat(chunks);
}

const headerSafe = (value: string) => value.replace(/[\r\n]/g, " ");

/** The boundary in a `Content-Type`; null when there is none. */
export function boundaryOf(contentType: string): string | null {
  const match = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;]{1,200}))/i.exec(contentType);
  return match?.[1] ?? match?.[2] ?? null;
}

/** A document that came as multipart/related, its attachments in it. Throws 400. */
export async function readRelated(body: Buffer, contentType: string, mostBytes: number): Promise<unknown> {
  const boundary = boundaryOf(contentType);
  if (boundary === null) throw badRequest("multipart without a boundary");
  const [first, ...rest] = splitParts(body, boundary);
  if (!first) throw badRequest("multipart without a part");
  const document = WithAttachments.safeParse(parseJson(first.body.toString("utf8"))).data;
  if (!document) throw badRequest("the first part must be a document");
  for (const attachment of Object.values(document._attachments ?? {})) {
    if (attachment["follows"] !== true) continue;
    const part = rest.shift();
    if (!part) throw badRequest("an attachment that was announced did not follow");
    attachment["data"] = await decoded(part, attachment, mostBytes);
    for (const field of ["follows", "encoding", "encoded_length", "length", "digest"])
      delete attachment[field];
  }
  return document;
}

const WithAttachments = z.looseObject({
  _attachments: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});

const unzip = promisify(gunzip);

/** CouchDB sends attachments of compressible types as it keeps them: compressed. */
async function decoded(part: Part, attachment: Record<string, unknown>, mostBytes: number): Promise<Buffer> {
  const encoding = part.headers.get("content-encoding") ?? attachment["encoding"];
  if (encoding !== "gzip") return part.body;
  return unzip(part.body, { maxOutputLength: mostBytes }).catch(() => {
    throw badRequest("an attachment is not the gzip that it says it is");
  });
}

function splitParts(body: Buffer, boundary: string): Part[] {
  const parts: Part[] = [];
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const opening = Buffer.from(`--${boundary}`);
  let at = body.subarray(0, opening.length).equals(opening) ? opening.length : after(body, delimiter, 0);
  while (at !== -1 && body.subarray(at, at + 2).toString("latin1") !== "--") {
    const end = body.indexOf(delimiter, at);
    if (end === -1) throw badRequest("multipart that does not end");
    parts.push(readPart(body.subarray(at, end)));
    at = end + delimiter.length;
  }
  return parts;
}

function after(body: Buffer, delimiter: Buffer, from: number): number {
  const found = body.indexOf(delimiter, from);
  return found === -1 ? -1 : found + delimiter.length;
}

/** Headers, an empty line, content. What stands between a boundary and its line's end is padding. */
function readPart(text: Buffer): Part {
  const start = text.indexOf("\r\n");
  const end = text.indexOf("\r\n\r\n");
  if (start === -1 || end === -1) throw badRequest("a part without an end of its headers");
  const headers = new Map<string, string>();
  for (const line of text.subarray(start, end).toString("utf8").split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return { headers, body: Buffer.from(text.subarray(end + 4)) };
}
