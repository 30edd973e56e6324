import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { freePort } from "../support/free-port.ts";

const run = promisify(execFile);
const examples = resolve(import.meta.dirname, "../../examples");

/** An example as Maestro would start it; resolves when it says that it listens. */
async function start(
  directory: string,
): Promise<{ port: number; child: ChildProcess; ended: Promise<unknown[]> }> {
  const port = await freePort();
  const env = {
    ...process.env,
    PORT: String(port),
    HOST: "127.0.0.1",
    MAESTRO_APP: "<b>",
    MAESTRO_RELEASE: "v7",
    MAESTRO_INSTANCE: "web.1",
  };
  const child = spawn(process.execPath, ["server.js"], {
    cwd: directory,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  expect(line).toContain(`http://127.0.0.1:${port}/`);
  return { port, child, ended };
}

async function get(port: number, path: string): Promise<IncomingMessage> {
  const [response]: IncomingMessage[] = await once(
    request({ host: "127.0.0.1", port, path }).end(),
    "response",
  );
  if (response === undefined) throw new Error("there was no response");
  return response;
}

describe("examples/hello", () => {
  it("shows who serves it, and nothing else that is not there", async () => {
    const { port } = await start(join(examples, "hello"));
    const page = await text(await get(port, "/"));
    expect(page).toContain("v7");
    expect(page).toContain("web.1");
    expect(page).toContain("&#60;b&#62;");
    expect(page).not.toContain("{{");
    for (const path of ["/none", "//", "/%"]) expect((await get(port, path)).statusCode).toBe(404);
  });

  it("ends its streams with a last event at SIGTERM, and ends by itself", async () => {
    const { port, child, ended } = await start(join(examples, "hello"));
    const stream = await get(port, "/events");
    expect(stream.headers["content-type"]).toContain("text/event-stream");
    let heard = "";
    const greeted = new Promise<void>((resolve) => {
      stream.setEncoding("utf8").on("data", (part: string) => {
        heard += part;
        if (heard.includes("event: state")) resolve();
      });
    });
    await greeted;
    const closed = once(stream, "end");
    child.kill("SIGTERM");
    await closed;
    expect(heard).toMatch(/event: state\ndata: \{.*"release":"v7".*"visitors":1/);
    expect(heard).toMatch(/event: goodbye\ndata: .*\n\n$/);
    expect(await ended).toEqual([0, null]);
  });
});

describe("examples/express-chat", () => {
  it("carries messages, survives nonsense, and closes with 1001 at SIGTERM", async () => {
    const directory = await installed("express-chat");
    const { port, child, ended } = await start(directory);
    expect(await text(await get(port, "/"))).toContain("chat.js");
    const [ann, bob] = [await enter(port), await enter(port)];

    ann.socket.send("no JSON");
    ann.socket.send(JSON.stringify({ text: 1 }));
    ann.socket.send(JSON.stringify({ name: "Ann", text: "Hello" }));
    expect(await bob.heard("message")).toMatchObject({ name: "Ann", text: "Hello" });
    expect(await bob.heard("welcome")).toMatchObject({ release: "v7", instance: "web.1" });

    const closed = Promise.all([once(ann.socket, "close"), once(bob.socket, "close")]);
    child.kill("SIGTERM");
    for (const [code, reason] of await closed)
      expect([code, String(reason)]).toEqual([1001, "a new release takes over"]);
    expect(await ended).toEqual([0, null]);
  });
});

/** A copy of an example with its packages, as its lock says. */
async function installed(example: string): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "maestro-example-"));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const directory = join(parent, example);
  await cp(join(examples, example), directory, {
    recursive: true,
    filter: (path) => !path.includes("node_modules"),
  });
  await run("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: directory });
  return directory;
}

type Heard = { type: string };

/** Somebody in the chat, and what they heard, in whatever order they are asked for it. */
async function enter(port: number) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
  const messages: Heard[] = [];
  const waiting = new Set<() => void>();
  socket.on("message", (data) => {
    messages.push(JSON.parse(String(data)));
    for (const look of waiting) look();
  });
  await once(socket, "open");
  const heard = (type: string) =>
    new Promise<Heard>((resolve) => {
      const look = () => {
        const found = messages.find((message) => message.type === type);
        if (found) resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { socket, heard };
}
