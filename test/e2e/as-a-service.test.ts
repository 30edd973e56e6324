import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../sdk/client.ts";
import { freePort } from "../support/free-port.ts";
import { fetchFrom } from "../support/load.ts";
import { repository, TestMaestro } from "../support/maestro.ts";
import { nextMessage, startManager, temporaryDirectory } from "../support/service.ts";

describe("under a service manager", () => {
  it("tells when it is ready, that it is being replaced, and that it ends, which is for good", async () => {
    const { path, messages } = await startManager();
    const nextState = async (): Promise<string | undefined> => {
      const [state] = await nextMessage(messages);
      return state === "BARRIER=1" ? nextState() : state; // systemd-notify waits until what it sent was taken
    };
    await using maestro = await TestMaestro.start();
    await maestro.end("SIGTERM");
    await maestro.serve({ NOTIFY_SOCKET: path });
    expect(await nextState()).toBe("READY=1");
    await (await maestro.client()).call("reload", {});
    expect(await nextState()).toBe("RELOADING=1");
    expect(await nextState()).toBe("READY=1");
    expect(await maestro.end("SIGINT")).toBe(100); // RestartPreventExitStatus= of the unit
    expect(await nextState()).toBe("STOPPING=1");
  });

  it("serves on the sockets that are held for it, and what waited in their queue before it came", async () => {
    const port = await freePort();
    const home = await temporaryDirectory();
    const rpc = `127.0.0.1:${await freePort()}`;
    const words = ["serve", "--home", home, "--http", `127.0.0.1:${port}`, "--rpc", rpc];
    const activated = await activate(port, join(repository, "bin/maestro"), words);
    onTestFinished(async () => {
      const ended = once(activated, "exit");
      activated.kill("SIGINT");
      await ended;
    });
    // Nothing of Maestro runs: this connection is what starts it, and waits in the queue until it has been.
    expect((await fetchFrom(port, "nobody.test")).status).toBe(404);
    const client = await connect({ server: rpc });
    expect((await client.call("status", {})).http).toEqual([`127.0.0.1:${port}`]);
    expect((await fetchFrom(port, "nobody.test", { path: "/_ping_" })).body).toBe("pong");
    client.close();
  });
});

/** systemd-socket-activate(1) starts a program at the first connection, with the listening socket as descriptor 3. */
async function activate(port: number, program: string, words: string[]): Promise<ChildProcess> {
  const PATH = process.env["PATH"] ?? "";
  const args = ["-E", `PATH=${PATH}`, "-l", `127.0.0.1:${port}`, program, ...words];
  const child = spawn("systemd-socket-activate", args, { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.startsWith("Listening on")) return child;
  }
  throw new Error("systemd-socket-activate did not listen; it comes with: apt-get install systemd");
}
