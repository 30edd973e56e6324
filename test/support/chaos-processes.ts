import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { listProcesses, readProcess } from "../../src/lib/processes.ts";

/* What the kernel says of processes and connections. All of it synchronous: nothing else of this process runs between
   two looks, so that what was seen still holds for what is done next. */

/** Stops a process where it is; returns when it does not run any more. */
export function freeze(pid: number): void {
  process.kill(pid, "SIGSTOP");
  let state = stateOf(pid);
  while (state !== "T" && state !== null) state = stateOf(pid);
}

function stateOf(pid: number): string | null {
  const stat = contentOf(`/proc/${pid}/stat`);
  return stat === null ? null : (stat.slice(stat.lastIndexOf(")") + 2)[0] ?? null);
}

/**
 * Kills the process group of an app's instance; returns when nobody listens on its port. SIGKILL takes its time: until
 * then, what is sent there would still be inside.
 */
export function killGroup(pid: number, port: number): void {
  process.kill(-(readProcess(pid)?.group ?? pid), "SIGKILL");
  while (sockets().some(({ local, state }) => local === port && state === listening));
}

/** The clients' ports of the connections that a process has accepted on a port. */
export function clientsOf(pid: number, port: number): Set<number> {
  const inodes = new Set(
    namesIn(`/proc/${pid}/fd`).flatMap((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode === undefined ? [] : [inode];
    }),
  );
  const accepted = sockets().filter(({ local, inode, state }) => {
    return local === port && state !== listening && inodes.has(inode);
  });
  return new Set(accepted.map(({ remote }) => remote));
}

type TcpSocket = { local: number; remote: number; state: string; inode: string };
/** Of include/net/tcp_states.h, as /proc/net/tcp writes it: see proc_pid_net(5). */
const listening = "0A";

function sockets(): TcpSocket[] {
  const lines = readFileSync("/proc/net/tcp", "utf8").trimEnd().split("\n").slice(1);
  return lines.map((line) => {
    const [, local = "", remote = "", state = "", , , , , , inode = ""] = line.trim().split(/\s+/);
    return { local: portOf(local), remote: portOf(remote), state, inode };
  });
}

const portOf = (address: string) => Number.parseInt(address.slice(address.indexOf(":") + 1), 16);

/** `name`: what the process calls itself, 15 characters at most. See proc_pid_comm(5). */
export type Trace = { pid: number; group: number; name: string; command: string };

/** Every process that has to do with a directory: it is in its command line, environment, open files or place. */
export function processesOf(directory: string): Trace[] {
  return traces().filter(({ pid, command }) => command.includes(directory) || hasToDoWith(pid, directory));
}

/**
 * What runs of an instance: all below its shim, those that lead to the app included. `pid`: any of them, such as the
 * one in `ps`.
 */
export function partsOf(pid: number): Trace[] {
  const all = listProcesses();
  const parentOf = (child: number) => all.find((process) => process.pid === child)?.parent ?? 0;
  let top = pid;
  while (parentOf(top) > 1 && !nameOf(parentOf(top)).startsWith("apprunner.")) top = parentOf(top);
  const within = new Set([top]);
  for (let before = 0; before !== within.size; ) {
    before = within.size;
    for (const process of all) if (within.has(process.parent)) within.add(process.pid);
  }
  return traces().filter((process) => within.has(process.pid));
}

function traces(): Trace[] {
  return listProcesses()
    .filter(({ pid }) => pid !== process.pid)
    .map(({ pid, group }) => ({ pid, group, name: nameOf(pid), command: commandOf(pid) }));
}

function hasToDoWith(pid: number, directory: string): boolean {
  const files = namesIn(`/proc/${pid}/fd`).map((fd) => targetOf(`/proc/${pid}/fd/${fd}`));
  const places = [targetOf(`/proc/${pid}/cwd`), targetOf(`/proc/${pid}/exe`), ...files];
  const environment = contentOf(`/proc/${pid}/environ`) ?? "";
  return environment.includes(directory) || places.some((place) => place.includes(directory));
}

export const nameOf = (pid: number) => (contentOf(`/proc/${pid}/comm`) ?? "").trimEnd();
/** Of the shim that stands beside an app's instance. */
export const shimNameOf = (app: string) => `apprunner.${app}`.slice(0, 15);
const commandOf = (pid: number) => (contentOf(`/proc/${pid}/cmdline`) ?? "").replaceAll("\0", " ").trim();

/* A process may end between any two looks: then there is nothing to be seen. */

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
