import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import type { AppRoute } from "../../src/protocol/worker.ts";
import { Front } from "../../src/proxy/front.ts";
import { GeneralPath } from "../../src/proxy/general.ts";
import { Holding } from "../../src/proxy/hold.ts";
import { Leases } from "../../src/proxy/leases.ts";
import { Passages } from "../../src/proxy/passage.ts";
import { Routes } from "../../src/proxy/routes.ts";
import { Tunnels } from "../../src/proxy/tunnel.ts";
import { Upstreams } from "../../src/proxy/upstream.ts";
import { routeOf } from "./proxy.ts";

/** The general path by itself, in the test's own process: the reference that the byte path is compared with. */
export class TestGeneralPath implements AsyncDisposable {
  readonly #routes = new Routes(20_000);
  readonly #front: Front;
  readonly #server: Server;

  private constructor() {
    const [routes, upstreams] = [this.#routes, new Upstreams()];
    const holding = new Holding(routes, 10_000);
    const leases = new Leases();
    const passages = new Passages({ routes, leases, holding, connections: upstreams });
    const options = { passages, upstreams, isTrusted: () => false };
    const [general, tunnels] = [new GeneralPath(options), new Tunnels(options)];
    this.#front = new Front({ general, tunnels, onEnd: () => {}, onClose: () => {} });
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#front.accept(socket),
    );
  }

  static async start(): Promise<TestGeneralPath> {
    const path = new TestGeneralPath();
    await once(path.#server.listen(0, "127.0.0.1"), "listening");
    return path;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  route(app: string, port: number, changes: Partial<AppRoute> = {}): void {
    const put = [routeOf(app, [{ instance: app, port }], changes)];
    this.#routes.apply({ replace: false, put, remove: [] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#front.leave();
    this.#server.close();
  }
}
