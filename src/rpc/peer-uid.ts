import { readFile } from "node:fs/promises";
import { endianness } from "node:os";

export type TcpPair = { remoteAddress: string; remotePort: number; localAddress: string; localPort: number };

/** The kernel leaves rows out now and then while connections come and go: one that is there is found soon. */
const attempts = 3;

/**
 * The uid that owns the other end of a loopback TCP connection, from its own row in /proc/net/tcp and tcp6 (proc(5));
 * null when that cannot be told. A connection that its owner has closed already has no inode any more, and the
 * kernel shows it as uid 0: it counts as "cannot be told", or closing at once would make anybody root.
 */
export async function uidOfPeer(pair: TcpPair): Promise<number | null> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (const table of tables) {
      const owner = ownerIn(await table.read(), pair);
      if (owner !== null) return owner.inode === 0 ? null : owner.uid;
    }
  }
  return null;
}

/** 127.0.0.0/8, ::1, and the former as IPv6 addresses. */
export function isLoopback(address: string): boolean {
  return address === "::1" || plainIpv4(address).startsWith("127.");
}

/**
 * A read of these files costs the kernel milliseconds however few rows there are, so that a flood of connections
 * shares them: whoever asks during a read gets the next one, which is sure to know the connection.
 */
class SharedTable {
  readonly #path: string;
  #reading: Promise<string> | null = null;
  #next: Promise<string> | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The content as it is after this call. Empty where there is no such file: no IPv6 here, or no /proc. */
  read(): Promise<string> {
    if (this.#reading === null) return this.#begin();
    this.#next ??= this.#reading.then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<string> {
    this.#next = null;
    this.#reading = readFile(this.#path, "latin1")
      .catch(() => "")
      .finally(() => {
        this.#reading = null;
      });
    return this.#reading;
  }
}

const tables = [new SharedTable("/proc/net/tcp"), new SharedTable("/proc/net/tcp6")];

/** Columns: sl local rem st tx:rx tr:when retrnsmt uid timeout inode. The peer's local side is our remote one. */
function ownerIn(table: string, pair: TcpPair): { uid: number; inode: number } | null {
  for (const [peer, self] of rowForms(pair)) {
    const start = table.indexOf(` ${peer} ${self} `);
    if (start === -1) continue;
    const columns = table.slice(start, table.indexOf("\n", start)).trim().split(/\s+/);
    return { uid: Number(columns[6]), inode: Number(columns[8]) };
  }
  return null;
}

/** An IPv4 connection shows in either table, depending on the kind of socket that its owner opened. */
function* rowForms(pair: TcpPair): Generator<[string, string]> {
  for (const form of [hexIpv4, hexMapped, hexLoopback6]) {
    const peer = form(pair.remoteAddress);
    const self = form(pair.localAddress);
    if (peer !== null && self !== null) {
      yield [`${peer}:${hexPort(pair.remotePort)}`, `${self}:${hexPort(pair.localPort)}`];
    }
  }
}

const plainIpv4 = (address: string) => address.replace(/^::ffff:/i, "");
const hexPort = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");

function hexIpv4(address: string): string | null {
  const parts = plainIpv4(address).split(".").map(Number);
  return parts.length === 4 ? hexWords(Buffer.from(parts)) : null;
}

function hexMapped(address: string): string | null {
  const plain = hexIpv4(address);
  return plain === null ? null : hexWords(Buffer.from("00000000000000000000ffff", "hex")) + plain;
}

function hexLoopback6(address: string): string | null {
  return address === "::1" ? hexWords(Buffer.from("00000000000000000000000000000001", "hex")) : null;
}

/** The kernel prints an address as 32-bit words in its own byte order. */
function hexWords(bytes: Buffer): string {
  return (endianness() === "LE" ? Buffer.from(bytes).swap32() : bytes).toString("hex").toUpperCase();
}
