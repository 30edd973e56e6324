import { isIP } from "node:net";
import { MaestroError } from "../../errors.ts";
import type { Rules } from "./ruleset.ts";

export type FirewallOptions = Readonly<{
  /** Tells this Maestro from others on the machine: lower-case letters, digits, underscores. */
  id: string;
  /** The users of this Maestro's apps. What runs as one of them is an app: keep Maestro's own users out of it. */
  uids: Readonly<{ from: number; to: number }>;
  /** The users of all Maestros' apps on this machine. Each has a table of its own, which rules over them. */
  maestros: Readonly<{ from: number; to: number }>;
  /** Where leased ports come from. */
  ports: Readonly<{ from: number; to: number }>;
  /** What every app may reach on the machine itself: the proxy, a database endpoint. */
  openPorts: readonly number[];
  /** What no app may reach, besides the ports below 1024: Maestro's RPC. An open port wins over a closed one. */
  closedPorts: readonly number[];
  /** Addresses and networks (CIDR) outside that no app may reach; `defaultClosedNetworks` unless given. */
  closedNetworks?: readonly string[];
}>;

/**
 * What answers to whoever asks from this machine, often with the machine's own credentials: everything link-local
 * (metadata of AWS, Google, Azure, Oracle, DigitalOcean, Hetzner at 169.254.169.254; devices found by multicast), and
 * metadata services elsewhere (AWS, Google by IPv6; Alibaba; Azure's WireServer). Port 53 of them stays open.
 */
export const defaultClosedNetworks: readonly string[] = [
  "169.254.0.0/16",
  "224.0.0.0/24",
  "100.100.100.200",
  "168.63.129.16",
  "fe80::/10",
  "ff02::/16",
  "fd00:ec2::254",
  "fd20:ce::254",
];

/** The last uid there is (4294967295 stands for none). Nobody runs as it. */
export const nobodysUid = 4_294_967_294;
const lastPort = 65_535;

const prefix = "maestro_";

/** Whether that may be the table of a Maestro. */
export const isTable = (name: string): boolean => name.startsWith(prefix);

export function tableOf(id: string): string {
  if (/^[a-z0-9_]{1,64}$/.test(id)) return prefix + id;
  throw badInput(`"${id}" cannot name a table of nftables; use lower-case letters, digits, underscores`, {
    id,
  });
}

export function checkedRules({
  uids,
  maestros,
  ports,
  openPorts,
  closedPorts,
  closedNetworks,
}: FirewallOptions): Rules {
  if (!isSpan(uids, nobodysUid)) throw badInput(`${uids.from}-${uids.to} is no range of users`, { uids });
  if (!isSpan(maestros, nobodysUid))
    throw badInput(`${maestros.from}-${maestros.to} is no range of users`, { maestros });
  if (!isSpan(ports, lastPort)) throw badInput(`${ports.from}-${ports.to} is no range of ports`, { ports });
  checkPorts(openPorts);
  checkPorts(closedPorts);
  const networks = closedNetworks ?? defaultClosedNetworks;
  const odd = networks.find((network) => !isNetwork(network));
  if (odd !== undefined) throw badInput(`"${odd}" is not an address or a network`, { network: odd });
  return { uids, maestros, ports, openPorts, closedPorts, closedNetworks: networks, owners: new Map() };
}

/** A user number is never 0: no rule may hold for root. */
function isSpan({ from, to }: { from: number; to: number }, last: number): boolean {
  return isWithin(from, { from: 1, to: last }) && isWithin(to, { from, to: last });
}

export function isWithin(value: number, { from, to }: { from: number; to: number }): boolean {
  return Number.isInteger(value) && value >= from && value <= to;
}

export const isPort = (port: number) => isWithin(port, { from: 1, to: lastPort });

export function checkPorts(ports: readonly number[]): void {
  const odd = ports.find((port) => !isPort(port));
  if (odd !== undefined) throw badInput(`${odd} is not a port`, { port: odd });
}

function isNetwork(network: string): boolean {
  const [, address = "", bits] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(network) ?? [];
  const family = isIP(address);
  return family !== 0 && (bits === undefined || Number(bits) <= (family === 4 ? 32 : 128));
}

export function badInput(problem: string, details: Record<string, unknown>): MaestroError {
  return new MaestroError("BAD_INPUT", `the firewall cannot be set: ${problem}`, details);
}
