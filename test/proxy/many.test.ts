import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { routeOf, send, TestUpstream, TestWorker } from "../support/proxy.ts";

const idle = 9000;
const together = 200;
/** What the controller, the worker and this process need beside the connections. */
const descriptors = idle + 500;

/** A client that keeps its connection. */
class Client {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket.setNoDelay().setEncoding("latin1");
  }

  static async connect(port: number): Promise<Client> {
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    return new Client(socket);
  }

  /** The body of its next answer. */
  async ask(hostname: string): Promise<string> {
    this.#socket.write(`GET / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    let text = "";
    for (;;) {
      const end = text.indexOf("\r\n\r\n");
      const length = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? Number.NaN);
      if (end !== -1 && text.length >= end + 4 + length) return text.slice(end + 4);
      const [more] = (await once(this.#socket, "data")) as [string];
      text += more;
    }
  }

  end(): void {
    this.#socket.destroy();
  }
}

/** Some at a time, in order. */
async function each<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (let at = 0; at < all.length; at += together)
    done.push(...(await Promise.all(all.slice(at, at + together).map(work))));
  return done;
}

describe("9,000 connections that are kept", () => {
  it("are each answered again after they were idle, and keep nobody else from being served", async (context) => {
    const most = execFileSync("/bin/sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
    if (Number(most) < descriptors) context.skip(`only ${most} files may be open here`);
    await using worker = await TestWorker.start();
    await using app = await TestUpstream.start("app");
    await worker.route("a", [app]);
    const numbers = Array.from({ length: idle }, (_, number) => number);
    const clients = await each(numbers, () => Client.connect(worker.port));
    const ask = (client: Client) => client.ask("a.test");
    expect(new Set(await each(clients, ask))).toEqual(new Set(["app"]));
    expect((await worker.control.ask("status", {})).connections).toBe(idle);
    expect((await send(worker.port, "a.test")).body).toBe("app");
    expect(new Set(await each(clients, ask))).toEqual(new Set(["app"]));
    for (const client of clients) client.end();
  });
});

describe("2,000 hostnames", () => {
  it("lead each to its own app, and all of them to another as one", async () => {
    await using worker = await TestWorker.start();
    await using one = await TestUpstream.start("one");
    await using other = await TestUpstream.start("other");
    const names = Array.from({ length: 2000 }, (_, number) => `app${number}`);
    const instances = (number: number) => [number % 2 === 0 ? one : other];
    const put = names.map((name, number) => routeOf(name, instances(number)));
    await worker.control.ask("routes", { put, remove: [] });
    const clients = await each(Array.from({ length: together }), () => Client.connect(worker.port));
    const asked = (from: readonly string[]) =>
      each(
        from.map((name, number) => ({ name, client: clients[number % together] })),
        async ({ name, client }) => client?.ask(`${name}.test`),
      );
    expect(await asked(names)).toEqual(names.map((_, number) => (number % 2 === 0 ? "one" : "other")));
    const swapped = names.map((name, number) => routeOf(name, instances(number + 1)));
    await worker.control.ask("routes", { put: swapped, remove: [] });
    expect(await asked(names)).toEqual(names.map((_, number) => (number % 2 === 0 ? "other" : "one")));
    for (const client of clients) client.end();
  });
});
