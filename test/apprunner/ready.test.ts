import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import type { LaunchSpec } from "../../src/app/instance.ts";
import type { Readiness } from "../../src/app/release.ts";
import { untilReady } from "../../src/apprunner/ready.ts";
import { isRoot, lineIn, Place, question, someUser } from "../support/apprunner.ts";

const health: Readiness = { kind: "health", path: "/up" };
const http: Readiness = { kind: "http", path: "/" };
const accepts: Readiness = { kind: "port" };

/** Starts the app and asks. */
async function ask(place: Place, changes: Partial<LaunchSpec>, asked: Parameters<typeof question>[2] = {}) {
  const spec = await place.spec(changes);
  const instance = await place.launch(spec);
  return { spec, instance, answer: untilReady(question(spec, instance, asked)) };
}

describe("an app is ready", () => {
  it.each([
    [health, "204"],
    [health, "302"],
    [http, "200"],
    [http, "404"],
    [accepts, "500"],
  ])("when %j is asked and it answers %s", async (readiness, STATUS) => {
    await using place = await Place.create();
    const { spec, answer } = await ask(place, { env: { STATUS } }, { readiness });
    expect(await answer).toEqual({ host: "127.0.0.1", port: spec.port });
  });

  it("at ::1 when it listens only there", async () => {
    await using place = await Place.create();
    const { spec, answer } = await ask(place, { env: { LISTEN_HOST: "::1" } });
    expect(await answer).toEqual({ host: "::1", port: spec.port });
  });

  it("of 2012 without being asked anything, since it dies of its first request", async () => {
    await using place = await Place.create();
    const { spec, instance, answer } = await ask(
      place,
      { start: { kind: "apprunner" } },
      { readiness: accepts },
    );
    const { host, port } = await answer;
    expect(port).toBe(spec.port);
    const authority = host === "::1" ? "[::1]" : host;
    await expect(fetch(`http://${authority}:${port}/`)).rejects.toThrow();
    expect(await instance.exited).toEqual({ code: 1, signal: null });
  });

  it.runIf(isRoot)("when it runs as a user of its own", async () => {
    await using place = await Place.create();
    const { spec, answer } = await ask(place, { user: someUser });
    expect(await answer).toEqual({ host: "127.0.0.1", port: spec.port });
  });

  it("behind a shell, where the listener is a descendant", async () => {
    await using place = await Place.create();
    const { answer } = await ask(place, { start: { kind: "line", line: "sh -c 'node answers.js; true'" } });
    await expect(answer).resolves.toMatchObject({ host: "127.0.0.1" });
  });
});

describe("an app is not ready", () => {
  it.each([
    [health, "404", "/up"],
    [http, "500", "/"],
  ])("when %j is asked and it answers %s", async (readiness, STATUS, path) => {
    await using place = await Place.create();
    const { answer } = await ask(place, { env: { STATUS } }, { readiness, timeoutMs: 1000 });
    await expect(answer).rejects.toMatchObject({
      code: "APP_NOT_READY",
      message: `hello was not ready within 1 s: it answered ${STATUS} at ${path}; look into its output for the reason`,
      details: { lastStatus: Number(STATUS) },
    });
  });

  it("when it listens on another port, which the error names", async () => {
    await using place = await Place.create();
    const other = await place.spec();
    const { spec, answer } = await ask(
      place,
      { env: { LISTEN_PORT: String(other.port) } },
      { timeoutMs: 1000 },
    );
    await expect(answer).rejects.toMatchObject({
      code: "APP_NOT_READY",
      message: `hello was not ready within 1 s: it listens on ${other.port}, not on ${spec.port}; let it use process.env.PORT`,
      details: { listensOn: [other.port], port: spec.port },
    });
  });

  it("when it listens nowhere", async () => {
    await using place = await Place.create();
    const { answer } = await ask(place, { start: { kind: "node", file: "stubborn.js" } }, { timeoutMs: 500 });
    await expect(answer).rejects.toMatchObject({ code: "APP_NOT_READY", details: { listensOn: [] } });
  });

  it.each([
    ["exit 4", { exitCode: 4, signal: null }, "hello exited with code 4"],
    ["kill -SEGV $$", { exitCode: null, signal: "SIGSEGV" }, "hello was ended by SIGSEGV"],
  ])("and that is known as soon as it ends by `%s`", async (line, details, sentence) => {
    await using place = await Place.create();
    const { answer } = await ask(place, { start: { kind: "line", line } });
    await expect(answer).rejects.toMatchObject({
      code: "APP_EXITED",
      details,
      message: expect.stringContaining(sentence),
    });
  });

  it("any more of interest when the caller gives up", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "node", file: "stubborn.js" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^up$/);
    const giveUp = new AbortController();
    const answer = untilReady(question(spec, instance), giveUp.signal);
    giveUp.abort(new Error("another deploy"));
    await expect(answer).rejects.toThrow("another deploy");
  });
});

describe("the check", () => {
  it("sends the app's hostname and says who asks, on a connection of its own", async () => {
    await using place = await Place.create();
    const line = `node -e 'require("http").createServer((q, s) => { console.log(JSON.stringify(q.headers)); s.end() }).listen(process.env.PORT, process.env.HOST)'`;
    const { spec, answer } = await ask(place, { start: { kind: "line", line } });
    await answer;
    expect(JSON.parse(await lineIn(spec.output.stdout, /^{/))).toEqual({
      host: "hello.example",
      "user-agent": "maestro-health-check",
      connection: "close",
    });
  });

  it.each(isRoot ? [null, someUser] : [null])(
    "sends nothing to a stranger who listens on the port of an app that runs as %j",
    async (user) => {
      await using place = await Place.create();
      const asked: string[] = [];
      await using stranger = await listen((request) => asked.push(request.url ?? ""));
      const port = (stranger.address() as AddressInfo).port;
      const start = { kind: "node", file: "stubborn.js" } as const;
      const { answer } = await ask(place, { start, port, user }, { timeoutMs: 500 });
      await expect(answer).rejects.toMatchObject({
        code: "APP_NOT_READY",
        message: expect.stringContaining("another program listens there"),
      });
      expect(asked).toEqual([]);
    },
  );

  it("waits for an answer that is slow to come", async () => {
    await using place = await Place.create();
    const line = `node -e 'require("http").createServer((q, s) => setTimeout(() => s.end(), 300)).listen(process.env.PORT, process.env.HOST)'`;
    const { answer } = await ask(place, { start: { kind: "line", line } });
    await expect(answer).resolves.toMatchObject({ host: "127.0.0.1" });
  });
});

async function listen(onRequest: (request: IncomingMessage) => void): Promise<Server> {
  const server = createServer((request, response) => {
    onRequest(request);
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
