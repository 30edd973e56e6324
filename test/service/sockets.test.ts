import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { inheritedSockets } from "../../src/service/sockets.ts";
import { freePort } from "../support/free-port.ts";
import { repository } from "../support/maestro.ts";
import { missing, temporaryDirectory } from "../support/service.ts";

describe("what is handed over", () => {
  it("begins at descriptor 3", () => {
    expect(inheritedSockets({ LISTEN_PID: "7", LISTEN_FDS: "2" }, 7)).toEqual([3, 4]);
  });

  it.each([
    [{}],
    [{ LISTEN_PID: "8", LISTEN_FDS: "2" }],
    [{ LISTEN_FDS: "2" }],
    [{ LISTEN_PID: "7" }],
    [{ LISTEN_PID: "7", LISTEN_FDS: "0" }],
    [{ LISTEN_PID: "7", LISTEN_FDS: "-1" }],
    [{ LISTEN_PID: "7", LISTEN_FDS: "many" }],
  ])("is nothing with %j", (env) => {
    expect(inheritedSockets(env, 7)).toEqual([]);
  });

  it("is told to nobody else", () => {
    const env = { LISTEN_PID: "8", LISTEN_FDS: "1", LISTEN_FDNAMES: "a", PATH: "/bin" };
    inheritedSockets(env, 7);
    expect(env).toEqual({ PATH: "/bin" });
  });

  it("can be listened on, through the launcher, in the order of the addresses", async () => {
    const ports = [await freePort(), await freePort()];
    const [first = 0, second = 0] = ports;
    await activate(await launcherOf("inherited.fixture.ts"), ports);
    const address = (port: number) => ({ address: "127.0.0.1", family: "IPv4", port });
    // The first connection starts the service, and waits for it in the socket that is held meanwhile.
    const answer = { addresses: [address(first), address(second)], left: [] };
    expect(JSON.parse(await text(connect(second, "127.0.0.1")))).toEqual(answer);
    expect(JSON.parse(await text(connect(first, "127.0.0.1")))).toEqual(answer);
  });
});

/** bin/maestro with another program in its place, run by this very Node. */
async function launcherOf(fixture: string): Promise<string> {
  const bin = join(await temporaryDirectory(), "bin");
  await mkdir(bin);
  await copyFile(join(repository, "bin/maestro"), join(bin, "maestro"));
  await writeFile(join(bin, "maestro.ts"), `import ${JSON.stringify(join(import.meta.dirname, fixture))};\n`);
  return join(bin, "maestro");
}

/** Listens as systemd does for a socket unit, and starts the program at the first connection, in its own place. */
async function activate(program: string, ports: readonly number[]): Promise<void> {
  const listen = ports.flatMap((port) => ["-l", `127.0.0.1:${port}`]);
  const PATH = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const child = spawn("systemd-socket-activate", ["-E", `PATH=${PATH}`, ...listen, program], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stderr });
  const listening = (async () => {
    let left = ports.length;
    for await (const line of lines) if (/^Listening on/.test(line) && --left === 0) return;
    throw new Error("systemd-socket-activate has ended");
  })();
  await Promise.race([
    listening,
    once(child, "error").then(() => Promise.reject(missing("systemd-socket-activate"))),
  ]);
}
