import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { BlockList, isIPv6 } from "node:net";
import type { RequestHead } from "./request-head.ts";

/** Between two neighbours only (RFC 9110, 7.6.1); each side of the proxy has its own. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Set by Maestro. `Expect` is the app's to answer and goes with the body, `Host` may come from the target. */
const ours = new Set(["host", "expect", "x-request-id"]);
const forwarded = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
]);
export const safeRequestId = /^[\w.:+/=@-]{1,128}$/;

/** Whose `X-Forwarded-*` are believed. Throws for an entry that is neither an address nor a CIDR range. */
export function trust(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", prefix] = entry.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => entries.length > 0 && list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** The address of the client, as IPv4 where it is one: a socket on `::` shows it as `::ffff:1.2.3.4`. */
export function addressOf(request: IncomingMessage): string {
  return plainAddress(request.socket.remoteAddress);
}

export function plainAddress(address = ""): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/**
 * The headers that an instance gets: the client's, in their number, without what is not meant for it. `stripped`: the
 * prefix that was taken off the path.
 */
export function requestHeaders(
  request: IncomingMessage,
  { host, isChunked }: RequestHead,
  isTrusted: (address: string) => boolean,
  stripped: string,
): Record<string, string | string[]> {
  const client = addressOf(request);
  const trusted = isTrusted(client);
  const headers = new HeaderTable();
  headers.set("Host", host);
  eachEndToEnd(request.rawHeaders, (name, value) => {
    const lower = name.toLowerCase();
    if (!ours.has(lower) && (trusted || !forwarded.has(lower))) headers.append(name, value);
  });
  headers.append("X-Forwarded-For", client);
  headers.join("X-Forwarded-For");
  headers.add("X-Forwarded-Proto", "http");
  headers.add("X-Forwarded-Host", host);
  headers.add("X-Forwarded-Port", String(request.socket.localPort ?? ""));
  if (stripped !== "") headers.extend("X-Forwarded-Prefix", stripped);
  headers.set("X-Request-Id", requestId(request));
  if (isChunked) headers.set("Transfer-Encoding", "chunked");
  return headers.values;
}

function requestId(request: IncomingMessage): string {
  const sent = request.headersDistinct["x-request-id"];
  const [id = ""] = sent?.length === 1 ? sent : [];
  return safeRequestId.test(id) ? id : randomUUID();
}

/** Names as they were written first, found in whatever case. */
class HeaderTable {
  // Without a prototype: "constructor" is a header name like any other.
  readonly values: Record<string, string | string[]> = Object.create(null);
  readonly #names = new Map<string, string>();

  set(name: string, value: string): void {
    this.values[this.#nameOf(name)] = value;
  }

  /** Unless it is there. */
  add(name: string, value: string): void {
    if (!this.#names.has(name.toLowerCase())) this.set(name, value);
  }

  append(name: string, value: string): void {
    const known = this.#nameOf(name);
    const before = this.values[known];
    this.values[known] = before === undefined ? value : [...[before].flat(), value];
  }

  /** Behind what it says already. */
  extend(name: string, value: string): void {
    this.set(name, [this.values[this.#nameOf(name)] ?? [], value].flat().join(""));
  }

  /** Several of a list header as one. */
  join(name: string): void {
    const known = this.#nameOf(name);
    this.values[known] = [this.values[known] ?? []].flat().join(", ");
  }

  #nameOf(name: string): string {
    const lower = name.toLowerCase();
    const known = this.#names.get(lower);
    if (known === undefined) this.#names.set(lower, name);
    return known ?? name;
  }
}

/** The headers that a client gets, as a flat list of names and values: repeated ones (`Set-Cookie`) stay so. */
export function responseHeaders(rawHeaders: readonly string[]): string[] {
  const headers: string[] = [];
  eachEndToEnd(rawHeaders, (name, value) => headers.push(name, value));
  return headers;
}

/** The fields after a chunked body that may be passed on: none that frames, routes or vouches for the message. */
export function trailers(rawTrailers: readonly string[]): [string, string][] {
  const fields: [string, string][] = [];
  eachEndToEnd(rawTrailers, (name, value) => {
    const lower = name.toLowerCase();
    if (!ours.has(lower) && !forwarded.has(lower) && !lower.startsWith("content-"))
      fields.push([name, value]);
  });
  return fields;
}

/** Every header but those between neighbours, whether by definition or because `Connection` names them. */
function eachEndToEnd(rawHeaders: readonly string[], each: (name: string, value: string) => void): void {
  const named = namedInConnection(rawHeaders);
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const lower = name.toLowerCase();
    if (!hopByHop.has(lower) && !named?.has(lower)) each(name, rawHeaders[at + 1] ?? "");
  }
}

function namedInConnection(rawHeaders: readonly string[]): Set<string> | null {
  let named: Set<string> | null = null;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length !== 10 || name.toLowerCase() !== "connection") continue;
    named ??= new Set();
    for (const option of (rawHeaders[at + 1] ?? "").split(",")) named.add(option.trim().toLowerCase());
  }
  // Whoever names these would make the message mean something else to the next reader.
  for (const framing of ["host", "content-length", "content-type"]) named?.delete(framing);
  return named;
}
