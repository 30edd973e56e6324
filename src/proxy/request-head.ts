import type { IncomingMessage } from "node:http";
import { malformed } from "./refusal.ts";
import type { Place } from "./routes.ts";

/** What a request asks for, once it is certain that it can be read in one way only. */
export type RequestHead = {
  /** The `Host` header as sent, or the authority of an absolute-form target (RFC 9112, 3.2.2); "" without either. */
  host: string;
  /** In origin form, or `*`. */
  path: string;
  hasBody: boolean;
  isChunked: boolean;
  place: Place | null;
  field(name: string): string;
  /** What it says that its body has; 0 where it does not say. */
  bodyLength: number;
  /** The memory that it takes while it waits. */
  heldBytes: number;
};

/** A head, and what Node's streams read ahead. */
const heldBytes = 16_384 + 65_536;

const hostForm = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{0,5})?$/;
const absoluteForm = /^https?:\/\/([^/?#]*)(.*)$/i;

/**
 * Checks what Node's parser lets pass though two readers could understand it differently (request smuggling).
 * What it refuses by itself, tested in test/proxy/malformed.test.ts: both lengths at once, repeated lengths, bare
 * LF and CR, folded lines, space before the colon, NUL, no Host. Throws a `Refusal` with status 400.
 */
export function readHead(request: IncomingMessage): RequestHead {
  const { httpVersion, method, url = "" } = request;
  if (httpVersion !== "1.1" && httpVersion !== "1.0") throw malformed("the HTTP version is not 1.0 or 1.1");
  const { host: hostHeader, transferEncoding, contentLength } = soleHeaders(request.rawHeaders);
  if (hostHeader !== undefined && !hostForm.test(hostHeader))
    throw malformed("the Host header is not a host");
  if (transferEncoding !== undefined) {
    if (httpVersion === "1.0") throw malformed("HTTP/1.0 knows no Transfer-Encoding");
    if (transferEncoding.toLowerCase() !== "chunked")
      throw malformed("the only Transfer-Encoding is chunked");
  }
  const isChunked = transferEncoding !== undefined;
  const field = (name: string) => [request.headers[name] ?? ""].flat().join(", ");
  const bodyLength = Number(contentLength ?? 0);
  const hasBody = isChunked || bodyLength > 0;
  return {
    ...target(url, method, hostHeader ?? ""),
    hasBody,
    isChunked,
    bodyLength,
    heldBytes,
    field,
    place: null,
  };
}

/** The headers that mean nothing certain when they come twice. */
function soleHeaders(rawHeaders: readonly string[]): Partial<Record<keyof typeof soleNames, string>> {
  const found: Partial<Record<keyof typeof soleNames, string>> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = soleName(rawHeaders[at] ?? "");
    if (!name) continue;
    if (found[name] !== undefined) throw malformed(`more than one ${soleNames[name]} header`);
    found[name] = rawHeaders[at + 1] ?? "";
  }
  return found;
}

const soleNames = {
  host: "Host",
  transferEncoding: "Transfer-Encoding",
  contentLength: "Content-Length",
} as const;

function soleName(header: string): keyof typeof soleNames | null {
  // The lengths first: most headers need no lower-casing to be none of the three.
  if (header.length === 4) return header.toLowerCase() === "host" ? "host" : null;
  if (header.length === 17) return header.toLowerCase() === "transfer-encoding" ? "transferEncoding" : null;
  if (header.length === 14) return header.toLowerCase() === "content-length" ? "contentLength" : null;
  return null;
}

function target(url: string, method: string | undefined, host: string): { host: string; path: string } {
  if (url.startsWith("/") || (url === "*" && method === "OPTIONS")) return { host, path: url };
  const [, authority = "", rest = ""] = absoluteForm.exec(url) ?? [];
  if (!hostForm.test(authority)) throw malformed("the request target is neither a path nor a URL");
  return { host: authority, path: rest.startsWith("/") ? rest : `/${rest}` };
}
