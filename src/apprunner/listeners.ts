import { closeSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import type { Address } from "../app/instance.ts";

/** A listening TCP socket, as proc_net_tcp(5) shows it. */
export type Listener = {
  /** The address in the kernel's hexadecimal, 8 digits for IPv4, 32 for IPv6. */
  address: string;
  port: number;
  uid: number;
  /** The inode of the socket: what a link in /proc/PID/fd names. */
  inode: string;
};

const tables = ["/proc/net/tcp", "/proc/net/tcp6"] as const;
type Table = (typeof tables)[number];

/** Every TCP socket that listens on this machine. */
export function listListeners(): Listener[] {
  return tables.flatMap(readTable);
}

/** Whose listener gets a connection to a host: where to look, the closest match first, as the kernel chooses. */
const places = {
  "127.0.0.1": [
    ["/proc/net/tcp", "0100007F"],
    ["/proc/net/tcp", "00000000"],
    ["/proc/net/tcp6", "0000000000000000FFFF00000100007F"],
    ["/proc/net/tcp6", "0".repeat(32)],
  ],
  "::1": [
    ["/proc/net/tcp6", "00000000000000000000000001000000"],
    ["/proc/net/tcp6", "0".repeat(32)],
  ],
} as const satisfies Record<Address["host"], readonly (readonly [Table, string])[]>;

/** The sockets that a connection to an address can reach: one, or several that share the port (SO_REUSEPORT). */
export function listenersAt({ host, port }: Address): Listener[] {
  const read = new Map<Table, Listener[]>();
  for (const [table, wanted] of places[host]) {
    const all = read.get(table) ?? readTable(table);
    read.set(table, all);
    const found = all.filter((listener) => listener.port === port && listener.address === wanted);
    if (found.length > 0) return found;
  }
  return [];
}

/**
 * The kernel lists the sockets that listen before all others. What comes after them is not read: to find it costs
 * the kernel milliseconds, also when there is nothing.
 */
function readTable(path: Table): Listener[] {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return []; // a kernel without IPv6 has no tcp6
  }
  try {
    return [...leadingListeners(file)];
  } finally {
    closeSync(file);
  }
}

function* leadingListeners(file: number): Generator<Listener> {
  const block = Buffer.alloc(64 * 1024);
  let rest = "";
  let heading = 1;
  for (let length = readSync(file, block); length > 0; length = readSync(file, block)) {
    const lines = (rest + block.toString("latin1", 0, length)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.slice(heading)) {
      const listener = parseLine(line);
      if (listener === null) return;
      yield listener;
    }
    heading = 0;
  }
}

const listening = "0A";

/** Null for a socket that does not listen. */
function parseLine(line: string): Listener | null {
  const fields = line.trim().split(/\s+/);
  const [, local, , state] = fields;
  const [address, port] = local?.split(":") ?? [];
  const inode = fields[9];
  if (state !== listening || address === undefined || port === undefined || inode === undefined) return null;
  return { address, port: Number.parseInt(port, 16), uid: Number(fields[7]), inode };
}

/** The inodes of the sockets that a process holds; empty when it is gone or another user's. */
export function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => socketInode(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function socketInode(link: string): string[] {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1];
    return inode === undefined ? [] : [inode];
  } catch {
    return []; // closed meanwhile
  }
}
