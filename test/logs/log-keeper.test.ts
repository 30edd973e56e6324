import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LogLine } from "../../src/app/reports.ts";
import { lockHolder } from "../../src/lib/lock-file.ts";
import { readProcess } from "../../src/lib/processes.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--log-size", "1", "--log-files", "3");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

/** An app that writes what it is asked to: COUNT numbered lines, the odd ones to standard error. */
const talker = `
  import { createServer } from "node:http";
  import { writeSync } from "node:fs";
  let line = 0;
  createServer((request, response) => {
    for (let count = Number(request.url.slice(1)); count > 0; count -= 1) {
      line += 1;
      writeSync(line % 2 === 0 ? 1 : 2, line + " " + "x".repeat(90) + "\\n");
    }
    response.end(String(line));
  }).listen(process.env.PORT);
`;
const say = (app: string, count: number) => fetchFrom(maestro.httpPort, `${app}.test`, { path: `/${count}` });

const keeperPid = async (): Promise<number> => {
  const holder = await lockHolder(join(maestro.home, "run/logs/keeper.lock"));
  return holder?.pid ?? expect.fail("no keeper holds the lock");
};

const logsOf = async (app: string, lines = 100) =>
  (await (await maestro.client()).call("logs", { app, lines })).lines;

/** Resolves with the first line that fits of those that following gives. */
async function untilLine(
  app: string,
  fits: (line: LogLine) => boolean,
  after: string[] = [],
): Promise<LogLine> {
  const found = new AbortController();
  const { promise, resolve } = Promise.withResolvers<LogLine>();
  const onLine = (line: LogLine) => {
    if (fits(line)) resolve(line);
  };
  const input = { app, follow: true, after };
  const call = (await maestro.client()).call("logs", input, { onLine, signal: found.signal });
  const line = await Promise.race([promise, call.then(() => expect.fail("the following ended"))]);
  found.abort();
  await call.catch(() => {}); // It was given up.
  return line;
}

describe("the log keeper", () => {
  it("has no parent but init, so that a controller may become another program", async () => {
    await maestro.until("log-keeper.started");
    expect(readProcess(await keeperPid())?.parent).not.toBe(maestro.pid);
  });

  it("is started again when it is killed", async () => {
    const before = await keeperPid();
    const since = maestro.logLength;
    process.kill(before, "SIGKILL");
    const { pid } = await maestro.until("log-keeper.started", () => true, since);
    expect(await keeperPid()).toBe(pid);
    expect(pid).not.toBe(before);
  });

  it("goes on bounding the logs, and noting times, when the controller is killed", async () => {
    await maestro.deploy("talker", fixture("traffic"), { "server.js": talker });
    await maestro.until("log-keeper.started");
    const keeper = await keeperPid();
    await maestro.end("SIGKILL");
    const began = Date.now();
    for (let request = 0; request < 80; request += 1) await say("talker", 1000);
    expect(readProcess(keeper)).not.toBeNull();
    const since = maestro.logLength;
    await maestro.serve();
    await maestro.until("log-keeper.started", () => true, since);
    expect(readProcess(keeper)).toBeNull();

    const lines = await logsOf("talker", 100_000);
    const numbers = lines.map(({ text }) => Number.parseInt(text, 10));
    // Both outputs are cut at a MB each, and of each three parts are kept.
    expect(lines.length).toBeLessThan(70_000);
    expect(lines.length).toBeGreaterThan(45_000);
    for (const stream of ["stdout", "stderr"]) {
      const own = numbers.filter((_, index) => lines[index]?.stream === stream).slice(1);
      expect(own).toEqual(own.map((_, index) => (own[0] ?? 0) + 2 * index));
      expect(own.at(-1)).toBe(stream === "stdout" ? 80_000 : 79_999);
    }
    const times = lines.map(({ at }) => Date.parse(at ?? ""));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times[0]).toBeGreaterThan(began);
  });

  it("shows what both outputs said, with its times, and follows over restarts", async () => {
    await maestro.deploy("mixed", fixture("traffic"), { "server.js": talker });
    const second = untilLine("mixed", ({ text }) => text.startsWith("2 "));
    await say("mixed", 2);
    const { cursor = "", ...seen } = await second;
    expect(seen).toMatchObject({ stream: "stdout", instance: "web.1", release: 1 });
    const after = untilLine("mixed", ({ release }) => release === 2);
    await maestro.change("mixed", { "version.js": 'export const version = "two";' });
    await say("mixed", 1);
    expect(await after).toMatchObject({ stream: "stderr", text: expect.stringMatching(/^1 /) });
    const next = await untilLine("mixed", ({ stream, release }) => stream === "stdout" || release === 2, [
      cursor,
    ]);
    expect(next).toMatchObject({ release: 2, text: expect.stringMatching(/^1 /) });

    const lines = await logsOf("mixed");
    const said = lines.flatMap(({ text, release, stream }) =>
      /^\d/.test(text) ? [`v${release} ${stream} ${Number.parseInt(text, 10)}`] : [],
    );
    expect(said.toSorted()).toEqual(["v1 stderr 1", "v1 stdout 2", "v2 stderr 1"]);
    expect(said.at(-1)).toBe("v2 stderr 1");
    for (const { at } of lines) expect(Date.parse(at ?? "")).toBeGreaterThan(Date.now() - 600_000);
  });

  it("ends with all of Maestro, and not when the controller leaves", async () => {
    const keeper = await keeperPid();
    await maestro.end("SIGTERM");
    expect(readProcess(keeper)).not.toBeNull();
    const since = maestro.logLength;
    await maestro.serve();
    const { pid } = await maestro.until("log-keeper.started", () => true, since);
    await maestro.end("SIGINT");
    expect(readProcess(Number(pid))).toBeNull();
    await maestro.serve();
  });
});
