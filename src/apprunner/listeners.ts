import { readdirSync, readFileSync, readlinkSync } from "node:fs";
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

/** Every TCP socket that listens on this machine. */
export function listListeners(): Listener[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => readTable(path).flatMap(parseLine));
}

function readTable(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").slice(1);
  } catch {
    return []; // a kernel without IPv6 has no tcp6
  }
}

const listening = "0A";

function parseLine(line: string): Listener[] {
  const fields = line.trim().split(/\s+/);
  const [, local, , state] = fields;
  const [address, port] = local?.split(":") ?? [];
  const inode = fields[9];
  if (state !== listening || address === undefined || port === undefined || inode === undefined) return [];
  return [{ address, port: Number.parseInt(port, 16), uid: Number(fields[7]), inode }];
}

/** The addresses whose listener gets a connection to the host, the closest match first, as the kernel chooses. */
const matches = {
  "127.0.0.1": ["0100007F", "0000000000000000FFFF00000100007F", "00000000", "0".repeat(32)],
  "::1": ["00000000000000000000000001000000", "0".repeat(32)],
} as const satisfies Record<Address["host"], readonly string[]>;

/** The sockets that a connection to the address can reach: one, or several that share the port (SO_REUSEPORT). */
export function listenersAt({ host, port }: Address, all: readonly Listener[]): Listener[] {
  for (const address of matches[host]) {
    const found = all.filter((listener) => listener.port === port && listener.address === address);
    if (found.length > 0) return found;
  }
  return [];
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
