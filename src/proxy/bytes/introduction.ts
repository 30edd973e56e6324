import { isIPv4, isIPv6 } from "node:net";
import { byteAt } from "../../http/characters.ts";
import { Gathered } from "../../http/gathered.ts";
import { Malformed } from "../../http/malformed.ts";

/** Where a connection really comes from, and which port it was made to; null when the one in between does not tell. */
export type Introduced = { address: string; port: number } | null;

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const v1Form = /^PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5}))$/;
/** Of version 1, with its CRLF. */
const mostV1 = 107;
/** Of version 2: the addresses, and what else a balancer may have to say. */
const mostV2 = 2048;
const v2Head = 16;

/**
 * The PROXY protocol, versions 1 and 2 (haproxy.org/download/1.8/doc/proxy-protocol.txt): what a balancer says before
 * anything of the client's. On a listener that expects it, a connection without it is nobody's.
 */
export class Introduction {
  readonly #gathered = new Gathered();
  introduced: Introduced = null;

  /** Returns what came behind it, or null when more is needed. Throws a `Malformed`. */
  take(bytes: Buffer, length: number): Buffer | null {
    this.#gathered.add(bytes, 0, length);
    const end = this.#read(this.#gathered.bytes, this.#gathered.length);
    return end === -1 ? null : this.#gathered.take().subarray(end);
  }

  #read(bytes: Buffer, length: number): number {
    const known = Math.min(length, signature.length);
    if (bytes.compare(signature, 0, known, 0, known) === 0) return this.#readV2(bytes, length);
    const beginning = bytes.toString("latin1", 0, Math.min(length, 6));
    if (!"PROXY ".startsWith(beginning)) throw new Malformed("no PROXY header");
    return this.#readV1(bytes, length);
  }

  #readV1(bytes: Buffer, length: number): number {
    const line = bytes.toString("latin1", 0, Math.min(length, mostV1));
    const end = line.indexOf("\r\n");
    if (end === -1 && length < mostV1) return -1;
    const [whole, family, source = "", target = "", , targetPort] =
      v1Form.exec(line.slice(0, Math.max(0, end))) ?? [];
    if (whole === undefined) throw new Malformed("no PROXY header of version 1");
    if (family !== undefined) {
      const isAddress = family === "TCP4" ? isIPv4 : isIPv6;
      if (!isAddress(source) || !isAddress(target)) throw new Malformed("the addresses of a PROXY header");
      this.introduced = { address: source, port: Number(targetPort) };
    }
    return end + 2;
  }

  #readV2(bytes: Buffer, length: number): number {
    if (length < v2Head) return -1;
    const command = byteAt(bytes, 12);
    const end = v2Head + bytes.readUInt16BE(14);
    if ((command !== 0x20 && command !== 0x21) || end > v2Head + mostV2)
      throw new Malformed("a PROXY header");
    if (length < end) return -1;
    // LOCAL is the balancer itself, which asks how we are.
    if (command === 0x21) this.introduced = introducedBy(bytes, byteAt(bytes, 13), end);
    return end;
  }
}

function introducedBy(bytes: Buffer, family: number, end: number): Introduced {
  const isV4 = family === 0x11;
  if (!isV4 && family !== 0x21) return null;
  const size = isV4 ? 4 : 16;
  if (end < v2Head + 2 * size + 4) throw new Malformed("the addresses of a PROXY header");
  const source = bytes.subarray(v2Head, v2Head + size);
  return { address: isV4 ? source.join(".") : v6(source), port: bytes.readUInt16BE(v2Head + 2 * size + 2) };
}

/** In the usual short form: by way of the URL parser, which knows it. */
function v6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
