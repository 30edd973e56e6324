import { once } from "node:events";
import { chmod, rm } from "node:fs/promises";
import { connect, createServer, type ListenOptions, type Server, type Socket } from "node:net";
import type { Principal } from "../app/principal.ts";
import { MaestroError } from "../errors.ts";
import type { CallerRules } from "./caller.ts";
import type { Dispatch } from "./calls.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Session, type SessionRules, type Via } from "./session.ts";

export type RpcOptions = CallerRules & {
  /** Port 0 takes a free one. */
  tcp?: { host?: string | undefined; port: number } | undefined;
  /** Path of a unix socket. Whoever may open it is an admin: it belongs in a directory that only Maestro may enter. */
  unix?: string | undefined;
  /** The names of the operations; each is a method. */
  operations: readonly string[];
  call: Dispatch;
  log: SessionRules["log"];
  limits?: Partial<Limits>;
};

export type Rpc = {
  /** Where it can be called: "host:port" with the port that it really has, or the path when there is no TCP. */
  address: string;
  /** Makes a connection that came by another door a session of whoever that door says it is. */
  enter(socket: Socket, principal: Principal): Session;
  /**
   * Accepts no more and ends every session, with a reason if there is one; what was written still goes out. Resolves
   * when all are closed.
   */
  close(reason?: MaestroError): Promise<void>;
};

/**
 * Opens the DNode door: each operation is a method `name(input, cb)` with `cb({ code, message, details } | null,
 * output)`, besides the names of 2012 and `auth(token, cb)`. Throws the system's error where it cannot listen, and
 * `BAD_INPUT` where another Maestro does.
 */
export async function startRpc(options: RpcOptions): Promise<Rpc> {
  const { tcp, unix, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const lobby = new Lobby({ ...options, limits });
  const servers: Server[] = [];
  const close = async (reason?: MaestroError) => {
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    lobby.close(reason);
    await Promise.all(closed);
  };
  const open = async (via: "unix" | "tcp", where: ListenOptions) => {
    const server = createServer((socket) => lobby.enter(socket, via));
    servers.push(server);
    server.listen(where);
    await once(server, "listening");
    server.on("error", (error) => log.error({ err: error }, "rpc.accept.failed"));
    return server;
  };
  try {
    const tcpServer = tcp && (await open("tcp", { port: tcp.port, ...(tcp.host && { host: tcp.host }) }));
    if (unix !== undefined) await openUnix(unix, () => open("unix", { path: unix }));
    const address = tcpServer ? addressOf(tcpServer) : (unix ?? "");
    log.info({ address, unix }, "rpc.started");
    return { address, enter: (socket, principal) => lobby.enter(socket, principal), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The sessions that are there, never more than `limits.sessions`. */
class Lobby {
  readonly #sessions = new Set<Session>();
  readonly #rules: SessionRules;

  constructor(rules: SessionRules) {
    this.#rules = rules;
  }

  enter(socket: Socket, via: Via): Session {
    this.#makeRoom();
    const session = new Session(socket, via, this.#rules);
    this.#sessions.add(session);
    socket.once("close", () => this.#sessions.delete(session));
    if (this.#sessions.size > this.#rules.limits.sessions) {
      session.end(
        new MaestroError("BUSY", `${this.#sessions.size - 1} sessions are open; close one of them`),
      );
    }
    return session;
  }

  close(reason?: MaestroError): void {
    for (const session of this.#sessions) session.leave(reason);
  }

  /** The oldest of those that have not called yet goes: silent connections never keep a caller out. */
  #makeRoom(): void {
    if (this.#sessions.size < this.#rules.limits.sessions) return;
    const oldest = this.#sessions.values().find((session) => session.isExpendable);
    if (oldest === undefined) return;
    this.#sessions.delete(oldest);
    oldest.destroy();
  }
}

/** A socket file stays behind when its process was killed, or became another by execve(2). */
async function openUnix(path: string, open: () => Promise<Server>): Promise<void> {
  if (await answers(path)) {
    throw new MaestroError("BAD_INPUT", `another Maestro answers at ${path}; end it first`, { path });
  }
  await rm(path, { force: true });
  await open();
  await chmod(path, 0o600);
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false; // Nobody is there, or nobody who can be reached: listening will tell why.
  } finally {
    socket.destroy();
  }
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a TCP address");
  return `${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}
