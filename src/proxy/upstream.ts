import { once } from "node:events";
import { Agent, type ClientRequest } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Upstream } from "../protocol/worker.ts";
import type { Connections } from "./passage.ts";

/** Node apps close a connection that was idle for 5 s: below it, so that no request meets the close half-way. */
const idleMs = 4000;

type Address = { host: string; port: number };

/** The general path's connections to every instance. */
export class Upstreams implements Connections<Socket> {
  readonly #connections = new Map<string, InstanceAgent>();

  hasIdle(upstream: Upstream): boolean {
    return this.to(upstream).hasIdle;
  }

  connect(upstream: Upstream, signal: AbortSignal): Promise<Socket> {
    return this.to(upstream).connect(signal);
  }

  to(upstream: Upstream): InstanceAgent {
    const known = this.#connections.get(upstream.instance);
    if (known?.leadsTo(upstream)) return known;
    known?.retire();
    const connections = new InstanceAgent(upstream);
    this.#connections.set(upstream.instance, connections);
    return connections;
  }

  /** Instances that can no longer be claimed keep no idle connections: now, nor when what is under way has ended. */
  keepOnly(upstreams: readonly Upstream[]): void {
    const kept = new Set(upstreams.map(({ instance }) => instance));
    for (const [instance, connections] of this.#connections) {
      if (kept.has(instance)) continue;
      connections.retire();
      this.#connections.delete(instance);
    }
  }
}

/**
 * The connections to one instance. Whoever sends takes an idle one, the latest used first, or connects before: a
 * request is handed a socket only when that is connected, so that one that was refused has not begun to leave.
 */
export class InstanceAgent extends Agent {
  /** Both of `http.Agent`, in use by the packages that extend it, missing in the types. */
  declare readonly addRequest: (outgoing: ClientRequest, address: Address) => void;
  declare readonly createSocket: (
    outgoing: ClientRequest,
    address: Address,
    done: (error: Error | null, socket: Socket) => void,
  ) => void;
  readonly #address: Address;
  readonly #name: string;
  #connected: Socket | undefined;
  #retired = false;

  constructor({ host, port }: Upstream) {
    super({ keepAlive: true, scheduling: "lifo", timeout: idleMs });
    this.#address = { host, port };
    this.#name = this.getName(this.#address);
  }

  leadsTo({ host, port }: Upstream): boolean {
    return this.#address.host === host && this.#address.port === port;
  }

  get hasIdle(): boolean {
    const latest = this.freeSockets[this.#name]?.at(-1);
    return latest !== undefined && !latest.destroyed && latest.writable;
  }

  /** Rejects with the system error, or with the signal's reason. */
  async connect(signal: AbortSignal): Promise<Socket> {
    const socket = connect({ ...this.#address, noDelay: true });
    try {
      await once(socket, "connect", { signal });
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Sends over a socket from `connect`, which then belongs here, or over an idle one: look at `hasIdle` first. */
  send(outgoing: ClientRequest, connected?: Socket): void {
    if (!connected) {
      this.addRequest(outgoing, this.#address);
      return;
    }
    // `addRequest` would prefer an idle one, which may be stale: that is why there is a new one.
    this.#connected = connected;
    this.createSocket(outgoing, this.#address, (_error, socket) => outgoing.onSocket(socket));
  }

  override createConnection(): Socket {
    const connected = this.#connected ?? connect({ ...this.#address, noDelay: true });
    this.#connected = undefined;
    return connected;
  }

  /** Asked by `http.Agent` when an exchange has ended; `false` closes the socket. */
  override keepSocketAlive(socket: Duplex): boolean {
    const mayKeep: unknown = super.keepSocketAlive(socket);
    return mayKeep !== false && !this.#retired;
  }

  retire(): void {
    this.#retired = true;
    for (const socket of this.freeSockets[this.#name] ?? []) socket.destroy();
  }
}
