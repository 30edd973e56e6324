import { Deadlines } from "../http/deadlines.ts";
import { TurnedAway } from "../http/turned-away.ts";
import type { Open } from "../http/wire.ts";
import type { Wires } from "../http/wires.ts";
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
import { ActiveChecks } from "./active-checks.ts";
import type { Served } from "./bytes/connection.ts";
import { ByteFront, type Listener } from "./bytes/front.ts";
import { Pools } from "./bytes/pools.ts";
import { Checks } from "./checks.ts";
import { type Drain, drain } from "./drain.ts";
import { Front } from "./front.ts";
import { GeneralPath } from "./general.ts";
import { addressOf, trust } from "./headers.ts";
import { Holding } from "./hold.ts";
import { Leases } from "./leases.ts";
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
  readonly #deadlines = new Deadlines();
  readonly #pools: Pools;
  readonly #activeChecks: ActiveChecks;
  readonly #bytes: ByteFront;
  readonly #general: Front;
  readonly #log: Log;
  readonly #leaving: Drain[] = [];
  readonly #maxConnections: number;

  /** `wires`: how connections are read and written here. */
  constructor(
    {
      holdMs,
      answerMs,
      trustedProxies,
      accessLog,
      maxConnections = Number.POSITIVE_INFINITY,
    }: WorkerSettings,
    log: Log,
    wires: Wires,
  ) {
    this.#log = log;
    this.#maxConnections = maxConnections;
    const isTrusted = trust(trustedProxies);
    const slowStart = new SlowStart();
    this.#routes = new Routes(answerMs, slowStart);
    const onEnd = () => this.#checkLeaving();
    this.#leases = new Leases({ onEnd, onOut: (upstream) => this.#takenOut(upstream), slowStart });
    this.#activeChecks = new ActiveChecks({ deadlines: this.#deadlines, leases: this.#leases });
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
    this.#pools = new Pools({ wires, deadlines: this.#deadlines });
    this.#bytes = new ByteFront({
      passages: new Passages({ ...claims, connections: this.#pools }),
      pools: this.#pools,
      deadlines: this.#deadlines,
      isTrusted,
      onServed: accessLog ? (served) => this.#logged(served) : null,
      onClose,
      onUncommon: (client) => this.#general.accept(client),
    });
  }

  accept(open: Open, listener: Listener = {}): void {
    if (this.#connections < this.#maxConnections) this.#bytes.accept(open, listener);
    else new TurnedAway(open, this.#deadlines);
  }

  apply(change: RoutesChange): void {
    this.#routes.apply(change);
    const upstreams = this.#routes.upstreams();
    this.#upstreams.keepOnly(upstreams);
    this.#pools.keepOnly(upstreams);
    this.#leases.keepOnly(upstreams);
    this.#activeChecks.keepUp(this.#routes.all());
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
