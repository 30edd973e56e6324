import type { Socket } from "node:net";
import type { Log } from "../lib/log.ts";
import type {
  AppRoute,
  DrainLimits,
  InFlight,
  RoutesChange,
  WorkerSettings,
  WorkerStatus,
} from "../protocol/worker.ts";
import { type Drain, drain } from "./drain.ts";
import { Front } from "./front.ts";
import { GeneralPath } from "./general.ts";
import { addressOf, trust } from "./headers.ts";
import { Holding } from "./hold.ts";
import { Leases } from "./lease.ts";
import { Passages } from "./passage.ts";
import { Routes } from "./routes.ts";
import { Tunnels } from "./tunnel.ts";
import { Upstreams } from "./upstream.ts";
import type { Visit } from "./visit.ts";

/** The parts of a worker, put together: what it does with connections, whoever accepts them. */
export class Plane {
  readonly #routes = new Routes();
  readonly #leases = new Leases(() => this.#checkLeaving());
  readonly #upstreams = new Upstreams();
  readonly #front: Front;
  readonly #log: Log;
  readonly #leaving: Drain[] = [];

  constructor({ holdMs, answerMs, trustedProxies, accessLog }: WorkerSettings, log: Log) {
    this.#log = log;
    const passages = new Passages({
      routes: this.#routes,
      leases: this.#leases,
      holding: new Holding(this.#routes, holdMs),
      upstreams: this.#upstreams,
      connectMs: answerMs,
    });
    const options = { passages, answerMs, isTrusted: trust(trustedProxies) };
    this.#front = new Front({
      general: new GeneralPath(options),
      tunnels: new Tunnels(options),
      onEnd: accessLog ? (visit) => this.#logged(visit) : () => {},
      onClose: () => this.#checkLeaving(),
    });
  }

  accept(socket: Socket): void {
    this.#front.accept(socket);
  }

  apply(change: RoutesChange): void {
    this.#routes.apply(change);
    this.#upstreams.keepOnly(this.#routes.upstreams());
  }

  table(): AppRoute[] {
    return this.#routes.table();
  }

  drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    return this.#leases.drain(instance, limits);
  }

  status(): Pick<WorkerStatus, "connections" | "requests" | "inFlight"> {
    const { connections, requests } = this.#front;
    return { connections, requests, inFlight: this.#leases.inFlight() };
  }

  /** Resolves when no connection is left, or what is left has had its time: the shortest that anybody gave it. */
  async leave(limits: DrainLimits): Promise<void> {
    this.#front.leave();
    const waiting = drain(() => this.#left(), limits);
    this.#leaving.push(waiting);
    await waiting.done;
  }

  /** A connection closes before or after what was under way on it has ended. */
  #checkLeaving(): void {
    for (const waiting of this.#leaving) waiting.check();
  }

  /** Each stream has a connection of its own; the others carry requests, or are about to close. */
  #left(): InFlight {
    const { streams } = this.#leases;
    return { requests: Math.max(0, this.#front.connections - streams), streams };
  }

  #logged({ request, response, head, targetPort }: Visit): void {
    const facts = {
      host_header: head.host,
      target_port: targetPort,
      source_ip: addressOf(request),
      method: request.method,
      status: response.headersSent ? response.statusCode : undefined,
    };
    this.#log.info(facts, "request");
  }
}
