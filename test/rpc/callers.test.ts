import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { isLoopback, uidOfPeer } from "../../src/rpc/peer-uid.ts";
import { call, callOnce, dnodeSession, RawSession, TestDoor, whereOf } from "../support/rpc.ts";

const appUid = 54_321;
const token = "a token of at least sixteen characters";
const isRoot = process.getuid?.() === 0;

describe("a door with a token", () => {
  it("lets a TCP session call after it has shown the token, as an admin", async () => {
    await using door = await TestDoor.start({ token });
    const { remote, end } = await dnodeSession(door.address);
    expect((await call(remote, "auth", token)).error).toBeNull();
    expect((await call(remote, "echo")).output).toMatchObject({ principal: { kind: "admin", via: "token" } });
    end();
  });

  it.each([
    ["another text", "wrong"],
    ["a part of it", token.slice(0, -1)],
    ["nothing", undefined],
    ["an object", { length: token.length }],
    ["a list that holds it", [token]],
  ])("answers UNAUTHORIZED to %s, and ends the session", async (_, given) => {
    await using door = await TestDoor.start({ token });
    using session = await RawSession.open(door.address);
    session.send({ method: "auth", arguments: [given, "f"], callbacks: { 0: ["1"] }, links: [] });
    expect((await session.until(0)).arguments[0]).toMatchObject({ code: "UNAUTHORIZED" });
    await session.closed;
  });

  it.each(["echo", "restart", "restart_app", "register_app"])(
    "lets nobody call %s before",
    async (method) => {
      await using door = await TestDoor.start({ token });
      using session = await RawSession.open(door.address);
      session.send(
        { method, arguments: ["hello", "f"], callbacks: { 0: ["1"] }, links: [] },
        { method: "auth", arguments: [token, "f"], callbacks: { 1: ["1"] }, links: [] },
        { method: "echo", arguments: ["f"], callbacks: { 2: ["0"] }, links: [] },
      );
      expect((await session.until(0)).arguments[0]).toMatchObject({ code: "UNAUTHORIZED" });
      await session.closed;
      expect(await session.received(0)).toHaveLength(2); // The greeting, and that one answer.
      const { remote, end } = await dnodeSession(door.address);
      await call(remote, "auth", token);
      expect((await call(remote, "dispatched")).output).toBe(1);
      end();
    },
  );

  it("keeps little of what strangers send", async () => {
    await using door = await TestDoor.start({ token });
    using session = await RawSession.open(door.address);
    session.send({
      method: "auth",
      arguments: ["x".repeat(20_000), "f"],
      callbacks: { 0: ["1"] },
      links: [],
    });
    expect((await session.until("error")).arguments[0]).toMatchObject({ code: "BAD_INPUT" });
  });

  it("writes the token into no log", async () => {
    await using door = await TestDoor.start({ token });
    const { remote, end } = await dnodeSession(door.address);
    await call(remote, "auth", token);
    end();
    await callOnce(door.address, "auth", `${token}!`);
    await door.until("rpc.session.refused");
    expect(JSON.stringify(door.log)).not.toContain(token);
  });

  it("asks it of nobody on its unix socket", async () => {
    const unix = `/tmp/maestro-rpc-${process.pid}.sock`;
    await using _ = await TestDoor.start({ token, unix });
    expect((await callOnce(unix, "echo")).output).toMatchObject({
      principal: { kind: "admin", via: "unix" },
    });
  });
});

describe("a door without a token", () => {
  it("takes auth as said, so that a client need not know whether there is one", async () => {
    await using door = await TestDoor.start();
    expect((await callOnce(door.address, "auth", "whatever")).error).toBeNull();
  });

  it("refuses calls from other addresses than this machine's own loopback", async () => {
    await using door = await TestDoor.start({ tcp: { host: "0.0.0.0", port: 0 } });
    const outer = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ family, internal }) => family === "IPv4" && !internal);
    if (outer === undefined) return expect(isLoopback("192.0.2.1")).toBe(false); // This machine has no other address.
    using session = await RawSession.open(`${outer.address}:${door.address.split(":").pop()}`);
    expect((await session.until("error")).arguments[0]).toMatchObject({ code: "UNAUTHORIZED" });
    await session.closed;
  });

  it.each([
    ["127.0.0.1", "127.0.0.1"],
    ["127.0.0.1", "127.8.9.10"],
    ["::1", "::1"],
    ["::", "::1"],
    ["::", "127.0.0.1"],
  ])("listening on %s knows a caller from %s by its uid", async (host, from) => {
    await using door = await TestDoor.start({ tcp: { host, port: 0 } });
    using session = await RawSession.open(`${host === "::" ? from : host}:${portOf(door)}`, {
      localAddress: from,
    });
    session.send({ method: "echo", arguments: ["f"], callbacks: { 0: ["0"] }, links: [] });
    expect((await session.until(0)).arguments[1]).toMatchObject({ principal: { via: "loopback" } });
  });
});

/** Only root may act as another user; without it these cannot be tried, and say so. */
describe.skipIf(!isRoot)(`an app, which runs as uid ${appUid}, (tried only as root)`, () => {
  it.each(["127.0.0.1", "::1", "::"])(
    "is refused with UNAUTHORIZED before it says a word, on %s",
    async (host) => {
      await using door = await TestDoor.start({ appUid, tcp: { host, port: 0 } });
      const answer = JSON.parse(
        await shell(appUid, `exec 3<>/dev/tcp/${targetOf(door, host)}; head -n 1 <&3`),
      );
      expect(answer).toMatchObject({ method: "error", arguments: [{ code: "UNAUTHORIZED" }] });
      expect((await callOnce(door.address, "dispatched")).output).toBe(1);
    },
  );

  it("is refused although it knows the token", async () => {
    await using door = await TestDoor.start({ appUid, token });
    const script = `exec 3<>/dev/tcp/${targetOf(door, "127.0.0.1")}; echo '${line("auth", [token])}' >&3; cat <&3`;
    expect(await shell(appUid, script)).toContain("UNAUTHORIZED");
  });

  it("gains nothing by closing at once, when the kernel shows its connection as root's", async () => {
    await using door = await TestDoor.start({ appUid });
    door.signal("SIGSTOP"); // The door looks only when the app is gone already.
    const say = `echo '${line("echo", [])}' >&3`;
    await shell(appUid, `exec 3<>/dev/tcp/${targetOf(door, "127.0.0.1")}; ${say}; exec 3>&-`);
    await untilShownAsRoots(whereOf(door.address).port ?? 0);
    door.signal("SIGCONT");
    await door.until("rpc.session.refused", ({ code }) => code === "UNAUTHORIZED");
    expect((await callOnce(door.address, "dispatched")).output).toBe(1);
  });

  it("is told apart from other users, who are admins", async () => {
    await using door = await TestDoor.start({ appUid });
    const script = `exec 3<>/dev/tcp/${targetOf(door, "127.0.0.1")}; echo '${line("echo", [])}' >&3; head -n 2 <&3`;
    expect(await shell(appUid + 1, script)).toContain('"via":"loopback"');
  });
});

describe("the uid of a peer", () => {
  it("is not told of a connection that is not there", async () => {
    const nobody = { remoteAddress: "127.0.0.1", remotePort: 1, localAddress: "127.0.0.1", localPort: 1 };
    expect(await uidOfPeer(nobody)).toBeNull();
  });
});

const portOf = (door: TestDoor) => door.address.split(":").pop();
const targetOf = (door: TestDoor, host: string) =>
  `${host === "::" ? "127.0.0.1" : host}/${whereOf(door.address).port}`;
const line = (method: string, args: unknown[]) =>
  JSON.stringify({ method, arguments: [...args, "f"], callbacks: { 0: [String(args.length)] } });

/** Until the kernel has a row for the closed end of a connection to this port in state FIN_WAIT2 (05), of uid 0. */
async function untilShownAsRoots(port: number): Promise<void> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const row = new RegExp(` 0100007F:${hex} 05 \\S+ \\S+ \\S+ +0 `);
  while (!row.test(await readFile("/proc/net/tcp", "utf8")));
}

/** Runs a script as a user who has no name, and gives what it prints. */
async function shell(uid: number, script: string): Promise<string> {
  const user = ["--reuid", String(uid), "--regid", String(uid), "--clear-groups"];
  const child = spawn("setpriv", [...user, "bash", "-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: "/",
  });
  const [printed] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return printed;
}
