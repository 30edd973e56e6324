import type { Socket } from "node:net";
import { Deadlines } from "../http/deadlines.ts";
import { clientTimes } from "../http/times.ts";
import type { Log } from "../lib/log.ts";
import type {
  AppRoute,
  DrainLimits,
  InFlight,
  RoutesChange,
  Upstream,
  WorkerSettings,
  WorkerStatus,
} from "../protocol/worker.ts";
import type { Served } from "./bytes/connection.ts";
import { ByteFront, type Listener } from "./bytes/front.ts";
import { Pools } from "./bytes/pools.ts";
import { Checks } from "./checks.ts";
import { type Drain, drain } from "./drain.ts";
import { Front } from "./front.ts";
import { GeneralPath } from "./general.ts";
import { addressOf, trust } from "./headers.ts";
import { Holding } from "./hold.ts";
import { Leases } from "./lease.ts";
import { Passages } from "./passage.ts";
import { Routes } from "./routes.ts";
import { SlowStart } from "./slow-start.ts";
import { Tunnels } from "./tunnel.ts";
import { Upstreams } from "./upstream.ts";
import { countVisit, type Visit } from "./visit.ts";

/** The parts of a worker, put together: what it does with connections, whoever accepts them. */
export class Plane {
  readonly #routes: Routes;
  readonly #leases: Leases;
  readonly #upstreams = new Upstreams();
  readonly #pools: Pools;
  readonly #bytes: ByteFront;
  readonly #general: Front;
  readonly #log: Log;
  readonly #leaving: Drain[] = [];
  readonly #maxConnections: number;

  /** `isStatic`: whether sockets can be read into static buffers here. */
  constructor(
    {
      holdMs,
      answerMs,
      trustedProxies,
      accessLog,
      maxConnections = Number.POSITIVE_INFINITY,
    }: WorkerSettings,
    log: Log,
    { isStatic }: { isStatic: boolean },
  ) {
    this.#log = log;
    this.#maxConnections = maxConnections;
    const isTrusted = trust(trustedProxies);
    const slowStart = new SlowStart();
    this.#routes = new Routes(answerMs, slowStart);
    const onEnd = () => this.#checkLeaving();
    this.#leases = new Leases({ onEnd, onOut: (upstream) => this.#takenOut(upstream), slowStart });
    const claims = {
      routes: this.#routes,
      leases: this.#leases,
      holding: new Holding(this.#routes, holdMs),
    };
    const onClose = () => this.#checkLeaving();
    const general = {
      passages: new Passages({ ...claims, connections: this.#upstreams }),
      upstreams: this.#upstreams,
      isTrusted,
    };
    this.#general = new Front({
      general: new GeneralPath(general),
      tunnels: new Tunnels(general),
      onEnd: (visit) => {
        countVisit(visit);
        if (accessLog) this.#loggedGeneral(visit);
      },
      onClose,
    });
    const deadlines = new Deadlines();
    this.#pools = new Pools(deadlines);
    this.#bytes = new ByteFront({
      passages: new Passages({ ...claims, connections: this.#pools }),
      pools: this.#pools,
      deadlines,
      isTrusted,
      isStatic,
      onServed: accessLog ? (served) => this.#logged(served) : null,
      onClose,
      onUncommon: (client) => this.#general.accept(client),
    });
  }

  accept(socket: Socket, listener: Listener = {}): void {
    if (this.#connections < this.#maxConnections) this.#bytes.accept(socket, listener);
    else turnAway(socket);
  }

  apply(change: RoutesChange): void {
    this.#routes.apply(change);
    const upstreams = this.#routes.upstreams();
    this.#upstreams.keepOnly(upstreams);
    this.#pools.keepOnly(upstreams);
    this.#leases.keepOnly(upstreams);
  }

  table(): AppRoute[] {
    return this.#routes.table();
  }

  drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    return this.#leases.drain(instance, limits);
  }

  status(): Pick<WorkerStatus, "connections" | "requests" | "inFlight" | "out" | "traffic"> {
    return {
      connections: this.#connections,
      requests: this.#bytes.requests + this.#general.requests,
      inFlight: this.#leases.inFlight(),
      out: this.#leases.out(),
      traffic: this.#routes.traffic(),
    };
  }

  /** Resolves when no connection is left, or what is left has had its time: the shortest that anybody gave it. */
  async leave(limits: DrainLimits): Promise<void> {
    this.#bytes.leave();
    this.#general.leave();
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
    return { requests: Math.max(0, this.#connections - streams), streams };
  }

  #takenOut(upstream: Upstream): void {
    const route = this.#routes.of(upstream.instance);
    if (!route) return;
    this.#log.warn({ app: route.app, instance: upstream.instance }, "instance.out");
    new Checks(
      (one) => this.#leases.isOut(one),
      (one) => {
        this.#leases.putBack(one);
        this.#log.info({ app: route.app, instance: one.instance }, "instance.back");
      },
    ).begin(upstream, route);
  }

  get #connections(): number {
    return this.#bytes.connections + this.#general.connections;
  }

  #logged({ exchange: { request, status, targetPort }, address }: Served): void {
    const { host, method } = request;
    const facts = { host_header: host, target_port: targetPort, source_ip: address, method };
    this.#log.info({ ...facts, status: status === 0 ? undefined : status }, "request");
  }

  #loggedGeneral({ request, response, head, targetPort }: Visit): void {
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

/** Without reading anything, and without waiting for anybody: there are too many already. */
function turnAway(socket: Socket): void {
  socket.on("error", () => {});
  socket.end(
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
  );
  socket
    .setTimeout(clientTimes.lingerMs, () => socket.destroy())
    .once("end", () => socket.destroy())
    .resume();
}
