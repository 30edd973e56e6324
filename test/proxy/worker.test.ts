import { once } from "node:events";
import { Agent } from "node:http";
import { describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { RawClient, routeOf, send, TestUpstream, TestWorker } from "../support/proxy.ts";

const patient = { requestsMs: 30_000, streamsMs: 10_000 };

/** Requests without a pause, of clients that keep their connection and of clients that do not, until it ends. */
class Load implements AsyncDisposable {
  readonly answers: string[] = [];
  readonly failures: string[] = [];
  readonly #clients: Promise<void>[];
  readonly #agent = new Agent({ keepAlive: true });
  #ending = false;
  #onAnswer: () => void = () => {};

  constructor(port: number, host: string) {
    this.#clients = Array.from({ length: 8 }, (_, index) => this.#run(port, host, index % 2 === 0));
  }

  async #run(port: number, host: string, keep: boolean): Promise<void> {
    for (let count = 0; !this.#ending; count += 1) {
      const agent = keep ? this.#agent : false;
      const body = count % 3 === 0 ? { method: "POST", body: "x".repeat(100_000) } : {};
      try {
        const answer = await send(port, host, { agent, ...body });
        if (answer.status === 200) this.answers.push(answer.body);
        else this.failures.push(`${answer.status} ${answer.body}`);
      } catch (error) {
        this.failures.push(`${keep ? "kept" : "new"} connection: ${(error as Error).message}`);
      }
      this.#onAnswer();
    }
  }

  /** Resolves when so many answers more have come. */
  async more(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const goal = this.answers.length + this.failures.length + count;
    this.#onAnswer = () => {
      if (this.answers.length + this.failures.length >= goal) resolve();
    };
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }
}

describe("a switch under load", () => {
  it("loses no request, and after a drain the old instance sees nothing more", async () => {
    await using worker = await TestWorker.start();
    let instance = await TestUpstream.start("app.0");
    await worker.route("app", [instance]);
    {
      await using load = new Load(worker.port, "app.test");
      for (let turn = 1; turn <= 20; turn += 1) {
        await load.more(50);
        const fresh = await TestUpstream.start(`app.${turn}`);
        await worker.route("app", [fresh]);
        const left = await worker.control.ask("drain", { instance: instance.instance, ...patient });
        expect(left).toEqual({ requests: 0, streams: 0 });
        const seen = instance.requests.length;
        await load.more(20);
        expect(instance.requests.length).toBe(seen);
        await instance.end();
        instance = fresh;
      }
      expect(load.failures).toEqual([]);
      expect(new Set(load.answers).size).toBe(21);
    }
    await instance.end();
  });

  it("spreads requests over the instances of an app", async () => {
    await using worker = await TestWorker.start();
    await using one = await TestUpstream.start("one");
    await using two = await TestUpstream.start("two");
    await worker.route("app", [one, two]);
    for (const _ of Array(10)) await send(worker.port, "app.test");
    expect(one.requests.length).toBeGreaterThan(2);
    expect(two.requests.length).toBeGreaterThan(2);
  });
});

describe("a sibling", () => {
  it("takes over from a worker that leaves, without a failed request", async () => {
    await using worker = await TestWorker.start();
    await using app = await TestUpstream.start("app");
    await worker.route("app", [app]);
    await using load = new Load(worker.port, "app.test");
    await load.more(100);
    const sibling = await worker.sibling("2");
    await load.more(100);
    await worker.control.ask("leave", patient);
    await worker.control.closed;
    await load.more(100);
    expect(load.failures).toEqual([]);
    const { requests, addresses } = await sibling.ask("status", {});
    expect(requests).toBeGreaterThan(0);
    expect(addresses[0]?.port).toBe(worker.port);
  });

  it("can be had from a worker whose starter has gone, and lives on when that worker is killed", async () => {
    await using worker = await TestWorker.start();
    await using app = await TestUpstream.start("app");
    await worker.route("app", [app]);
    const sibling = await worker.sibling("2");
    const { pid } = await worker.control.ask("status", {});
    const ended = once(worker.process, "exit");
    process.kill(pid, "SIGKILL");
    await ended;
    expect((await send(worker.port, "app.test")).body).toBe("app");
    expect((await sibling.ask("status", {})).pid).not.toBe(pid);
  });

  it("does not come about when its program ends, and that is said", async () => {
    await using worker = await TestWorker.start();
    const asked = worker.control.ask("sibling", { entry: "/dev/null", settings: {} });
    await expect(asked).rejects.toThrow(/ended at its start/);
    expect((await send(worker.port, "nobody.test")).status).toBe(404);
  });
});

describe("a worker", () => {
  it("goes on with its routes when the controller is away", async () => {
    await using worker = await TestWorker.start();
    await using app = await TestUpstream.start("app");
    await worker.route("app", [app]);
    worker.control.close();
    await worker.control.closed;
    expect((await send(worker.port, "app.test")).body).toBe("app");
    const again = await worker.connect();
    expect((await again.ask("table", {})).routes).toEqual([routeOf("app", [app])]);
  });

  it("tells which addresses it has, what has come, and what is under way", async () => {
    await using worker = await TestWorker.start();
    await send(worker.port, "nobody.test");
    expect(await worker.control.ask("status", {})).toMatchObject({
      v: 1,
      pid: worker.process.pid,
      addresses: [{ host: "127.0.0.1", port: worker.port }],
      requests: 1,
      inFlight: {},
    });
  });

  it("finishes what is under way before it leaves, and says that the connection ends", async () => {
    await using worker = await TestWorker.start();
    const finish = Promise.withResolvers<void>();
    const came = Promise.withResolvers<void>();
    await using app = await TestUpstream.start("app", async (_request, response) => {
      came.resolve();
      await finish.promise;
      response.end("done");
    });
    await worker.route("app", [app]);
    const client = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    await came.promise;
    const ended = once(worker.process, "exit");
    process.kill(worker.process.pid ?? 0, "SIGTERM");
    await send(worker.port, "nobody.test").catch(() => {}); // Until nobody listens: refused, or told it is the last.
    finish.resolve();
    expect(await client.untilClosed()).toMatch(/connection: close\r\n[\s\S]*done$/i);
    expect(await ended).toEqual([0, null]);
  });

  it("leaves when the limits have passed, whatever is under way", async () => {
    await using worker = await TestWorker.start();
    const came = Promise.withResolvers<void>();
    await using app = await TestUpstream.start("app", () => came.resolve());
    await worker.route("app", [app]);
    const client = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    await came.promise;
    const ended = once(worker.process, "exit");
    await worker.control.ask("leave", { requestsMs: 10, streamsMs: 10 });
    expect(await ended).toEqual([0, null]);
    expect(await client.untilClosed()).toBe("");
  });

  it.each([
    ["closed by its client", (client: WebSocket) => client.terminate()],
    [
      "closed by the app",
      (_: WebSocket, app: WebSocketServer) => app.clients.forEach((end) => void end.close()),
    ],
  ])(
    "that leaves with patience goes on telling how it is, and ends when its last WebSocket is %s",
    async (_, close) => {
      await using worker = await TestWorker.start();
      await using app = await TestUpstream.start("app");
      const sockets = new WebSocketServer({ server: app.server });
      await worker.route("app", [app]);
      const client = new WebSocket(`ws://127.0.0.1:${worker.port}/`, { headers: { host: "app.test" } });
      await once(client, "open");
      const ended = once(worker.process, "exit");
      const { addresses } = await worker.control.ask("status", {});
      await worker.control.ask("leave", { requestsMs: 3_600_000, streamsMs: 3_600_000 });
      expect(await worker.control.ask("status", {})).toMatchObject({ leaving: true, addresses });
      close(client, sockets);
      expect(await ended).toEqual([0, null]);
    },
  );

  it("is not ended by a terminal's Ctrl-C, nor by a reader of its output that is gone", async () => {
    await using worker = await TestWorker.start({ accessLog: true });
    worker.process.stdout?.destroy();
    process.kill(worker.process.pid ?? 0, "SIGINT");
    await send(worker.port, "nobody.test");
    expect((await send(worker.port, "nobody.test")).status).toBe(404);
  });

  it("says why it cannot start", async () => {
    await using worker = await TestWorker.start();
    const taken = TestWorker.start({ listen: [{ host: "127.0.0.1", port: worker.port }] });
    await expect(taken).rejects.toThrow(/EADDRINUSE/);
  });
});
