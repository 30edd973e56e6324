import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Checkout } from "../support/checkout.ts";
import { fetchFrom, Load } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

const version = (name: string) => ({ "version.js": `export const version = ${JSON.stringify(name)};\n` });

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--stream-drain", "2");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

/** The events of a server-sent event stream, in the order in which they come. */
function openEvents(host: string): { first: Promise<string>; all: Promise<string>; leave(): void } {
  const first = Promise.withResolvers<string>();
  const all = Promise.withResolvers<string>();
  const opened = request({ port: maestro.httpPort, host: "127.0.0.1", path: "/events", headers: { host } });
  opened.on("response", (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      first.resolve(text);
    });
    response.on("end", () => all.resolve(text)).on("error", all.reject);
    response.on("close", () => all.reject(new Error("the stream was cut")));
  });
  opened.on("error", (error) => {
    first.reject(error);
    all.reject(error);
  });
  opened.end();
  for (const { promise } of [first, all]) promise.catch(() => {}); // not every test waits for both
  return { first: first.promise, all: all.promise, leave: () => void opened.destroy() };
}

/** Reads an app's event stream to its end, and then the next one, as a browser does. */
class EventReader {
  whole = 0;
  readonly #failures: string[] = [];
  #ending = false;
  #current: ReturnType<typeof openEvents>;
  readonly #done: Promise<void>;

  constructor(host: string) {
    this.#current = openEvents(host);
    this.#done = this.#run(host);
  }

  async #run(host: string): Promise<void> {
    while (!this.#ending) {
      const text = await this.#current.all.catch((error: Error) => `it broke: ${error.message}`);
      if (text.includes("event: hello") && text.includes("event: bye")) this.whole += 1;
      else if (!this.#ending) this.#failures.push(text);
      if (!this.#ending) this.#current = openEvents(host);
    }
  }

  /** Answers what went wrong. */
  async stop(): Promise<string[]> {
    this.#ending = true;
    this.#current.leave();
    await this.#done;
    return this.#failures;
  }
}

async function twentyRestarts(app: string, directory: string): Promise<void> {
  const host = `${app}.test`;
  await maestro.deploy(app, directory, version("v0"));
  await using load = disposable(
    new Load(maestro.httpPort, host, { clients: { "keep-alive": 2, close: 1, slow: 3, upload: 1 } }),
  );
  for (let count = 1; count <= 20; count += 1) {
    await load.more(20);
    await maestro.change(app, version(`v${count}`));
    const { body } = await fetchFrom(maestro.httpPort, host);
    expect(JSON.parse(body)).toMatchObject({ version: `v${count}` });
  }
  await load.end();
  expect(load.failures).toEqual([]);
  const known = new Set(Array.from({ length: 21 }, (_, count) => `v${count}`));
  expect([...load.versions()].filter((name) => !known.has(name))).toEqual([]);
  for (const kind of ["keep-alive", "close", "slow", "upload"] as const) {
    expect(load.versions(kind).size, kind).toBeGreaterThan(1);
  }
}

function disposable(load: Load): Load & AsyncDisposable {
  return Object.assign(load, { [Symbol.asyncDispose]: () => load.end() });
}

describe("twenty restarts in a row under steady load", () => {
  it("fail no request of a plain Node app, and each is answered by one release, whole", async () => {
    await maestro.deploy("plain", fixture("traffic"), version("v0"));
    const reader = new EventReader("plain.test");
    await twentyRestarts("plain", fixture("traffic"));
    // The stream that is open now is the last instance's; every earlier one was ended by its app, and whole.
    expect(await reader.stop()).toEqual([]);
    expect(reader.whole).toBeGreaterThan(1);
  }, 300_000);

  for (const framework of ["express", "fastify"]) {
    it(`fail no request of a ${framework} app that was installed from the registry`, async () => {
      await using checkout = await Checkout.of(framework);
      await twentyRestarts(framework, checkout.directory);
    }, 300_000);
  }
});

describe("what stays open over a restart", () => {
  it("an event stream stays with the old instance for the stream drain, and gets the app's last event", async () => {
    await maestro.deploy("stream", fixture("traffic"), version("old"));
    const events = openEvents("stream.test");
    expect(await events.first).toContain("hello");
    await maestro.deploy("stream", fixture("traffic"), version("new"));
    const answer = await fetchFrom(maestro.httpPort, "stream.test");
    expect(JSON.parse(answer.body)).toMatchObject({ version: "new" });
    expect(await events.all).toContain("event: bye");
  });

  it("a WebSocket lives on through a restart of another app", async () => {
    await maestro.deploy("chat", fixture("websocket"));
    const socket = await openSocket("chat.test");
    await maestro.deploy("stream", fixture("traffic"), version("newer"));
    expect(await echo(socket, "still here?")).toBe("still here?");
    socket.terminate();
  });

  it("a WebSocket stays with its instance for the stream drain, and gets the app's own close frame", async () => {
    await maestro.deploy("chat", fixture("websocket"), { "marker.txt": "one" });
    const socket = await openSocket("chat.test");
    const closed = new Promise<{ code: number; reason: string }>((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: String(reason) }));
    });
    const { release } = await maestro.deploy("chat", fixture("websocket"), { "marker.txt": "two" });
    expect(await echo(socket, "old one?")).toBe("old one?");
    const ps = await (await maestro.client()).call("ps", { app: "chat" });
    const states = ps.map(({ state }) => state).filter((state) => state !== "frozen");
    expect(states.sort()).toEqual(["draining", "serving"]);
    expect(ps.find(({ state }) => state === "serving")?.release).toBe(release);
    expect(await closed).toEqual({ code: 1001, reason: "the app is being replaced" });
  });
});

async function openSocket(host: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${maestro.httpPort}/`, { headers: { host } });
  await new Promise<void>((resolve, reject) => socket.on("open", resolve).on("error", reject));
  return socket;
}

async function echo(socket: WebSocket, text: string): Promise<string> {
  const answer = new Promise<string>((resolve) => socket.once("message", (data) => resolve(String(data))));
  socket.send(text);
  return answer;
}
