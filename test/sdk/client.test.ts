import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { connect } from "../../sdk/client.ts";
import type { Session } from "../../sdk/operations.ts";
import { MaestroError } from "../../src/errors.ts";
import { TestDoor } from "../support/rpc.ts";

const token = "a token of at least sixteen characters";

describe("the client", () => {
  it("calls an operation by TCP and by unix socket", async () => {
    const unix = join(tmpdir(), `maestro-client-${process.pid}.sock`);
    await using door = await TestDoor.start({ unix });
    for (const server of [door.address, unix]) {
      const client: Session = await connect({ server });
      expect(await client.call("restart", { app: "hello", hostname: "hello.test" })).toMatchObject({
        input: { name: "restart", input: { app: "hello", hostname: "hello.test" } },
      });
      client.close();
    }
  });

  it("rejects with the error of the server: code, message, details", async () => {
    const failing = await fakeServer((socket) => {
      socket.write(greeting("apps"));
      socket.on("data", (chunk) => {
        const id = /"callbacks":\{"(\d+)"/.exec(String(chunk))?.[1];
        if (id)
          socket.write(
            `{"method":${id},"arguments":[{"code":"BUSY","message":"busy","details":{"by":1}}]}\n`,
          );
      });
    });
    const client = await connect({ server: failing.address });
    const error = await client.call("apps", {}).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaestroError);
    expect(error).toMatchObject({ code: "BUSY", message: "busy", details: { by: 1 } });
    client.close();
    failing.close();
  });

  it("hands on each line of a log, and its abort ends the waiting, its close the work", async () => {
    await using door = await TestDoor.start();
    const client = await connect({ server: door.address });
    const patience = new AbortController();
    let lines = 0;
    const following = client.call(
      "logs",
      { app: "hello", follow: true },
      {
        signal: patience.signal,
        onLine({ instance }) {
          expect(instance).toBe("web.1");
          if (++lines === 100) patience.abort(new Error("enough"));
        },
      },
    );
    await expect(following).rejects.toThrow("enough");
    client.close();
    await door.until("test.logs.aborted");
  });

  it("makes what throws in a callback the failure of its call", async () => {
    await using door = await TestDoor.start();
    const client = await connect({ server: door.address });
    const following = client.call(
      "logs",
      { app: "hello" },
      {
        onLine() {
          throw new Error("the terminal is gone");
        },
      },
    );
    await expect(following).rejects.toThrow("the terminal is gone");
    client.close();
  });

  it("does not begin a call whose signal is aborted", async () => {
    await using door = await TestDoor.start();
    const client = await connect({ server: door.address });
    const call = client.call(
      "restart",
      { app: "hello" },
      { signal: AbortSignal.abort(new Error("never mind")) },
    );
    await expect(call).rejects.toThrow("never mind");
    client.close();
  });

  it("shows its token, and says when it is the wrong one", async () => {
    await using door = await TestDoor.start({ token });
    const client = await connect({ server: door.address, token });
    expect(await client.call("restart", { app: "hello" })).toMatchObject({ principal: { via: "token" } });
    client.close();
    await expect(connect({ server: door.address, token: "wrong" })).rejects.toMatchObject({
      code: "UNAUTHORIZED",
    });
  });

  it("says UNAUTHORIZED when it should have had a token", async () => {
    await using door = await TestDoor.start({ token });
    const client = await connect({ server: door.address });
    await expect(client.call("restart", { app: "hello" })).rejects.toMatchObject({ code: "UNAUTHORIZED" });
  });

  it("says which operation an older server does not have", async () => {
    await using door = await TestDoor.start();
    const client = await connect({ server: door.address });
    await expect(client.call("doctor", {})).rejects.toThrow(/has no operation "doctor"/);
    client.close();
  });
});

describe("when the server is not there", () => {
  it("says what could not be reached, and what to do", async () => {
    const gone = await fakeServer(() => {});
    gone.close();
    await expect(connect({ server: gone.address })).rejects.toMatchObject({
      code: "INTERNAL",
      message: `cannot reach Maestro at ${gone.address} (ECONNREFUSED): is \`maestro serve\` running? --server or MAESTRO_SERVER names another`,
      details: { server: gone.address },
    });
    await expect(connect({ server: "/tmp/no/such.sock" })).rejects.toThrow("at /tmp/no/such.sock (ENOENT)");
  });

  it.each(["nonsense", "localhost", "localhost:99999", "1:2:3", ""])(
    "refuses %j as an address",
    async (server) => {
      await expect(connect({ server })).rejects.toMatchObject({ code: "BAD_INPUT" });
    },
  );

  it.each([
    ["a web server", "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ["another protocol of JSON", '{"jsonrpc":"2.0"}\n'],
  ])("says that %s is no Maestro", async (_, words) => {
    const other = await fakeServer((socket) => void socket.write(words));
    await expect(connect({ server: other.address })).rejects.toThrow("does not speak as Maestro does");
    other.close();
  });

  it("says so when the server hangs up before it has greeted", async () => {
    const rude = await fakeServer((socket) => void socket.end());
    await expect(connect({ server: rude.address })).rejects.toThrow("ended the session");
    rude.close();
  });

  it("rejects the calls under way when the server dies, and every later one", async () => {
    await using door = await TestDoor.start();
    const client = await connect({ server: door.address });
    const began = Promise.withResolvers<void>();
    const call = client.call("logs", { app: "hello" }, { onLine: () => began.resolve() });
    call.catch(() => {});
    await began.promise;
    await door.end("SIGKILL");
    await expect(call).rejects.toThrow("ended the session before `logs` was answered");
    await expect(client.call("restart", { app: "hello" })).rejects.toMatchObject({ code: "INTERNAL" });
  });

  it("rejects the calls under way when it is closed itself", async () => {
    await using door = await TestDoor.start();
    const client = await connect({ server: door.address });
    const call = client.call("logs", { app: "hello" }, { onLine: () => client.close() });
    await expect(call).rejects.toThrow("is closed before `logs` was answered");
  });
});

describe("a server that is being replaced", () => {
  const passing = { code: "BUSY", message: "Maestro is being replaced", details: { retry: true } };
  const answerTo = (socket: Socket, answer: unknown[]) =>
    socket.on("data", (chunk) => {
      const id = /"callbacks":\{"(\d+)"/.exec(String(chunk))?.[1];
      if (id) socket.write(`{"method":${id},"arguments":${JSON.stringify(answer)}}\n`);
    });

  it("is asked again when it says so, and when it ends the session with that", async () => {
    let sessions = 0;
    const server = await fakeServer((socket) => {
      sessions += 1;
      socket.write(greeting("apps"));
      if (sessions === 1) answerTo(socket, [passing]);
      else if (sessions === 2)
        socket.on("data", () => socket.end(`{"method":"error","arguments":[${JSON.stringify(passing)}]}\n`));
      else answerTo(socket, [null, []]);
    });
    const client = await connect({ server: server.address });
    client.close();
    const patient = await connect({ server: server.address });
    expect(await patient.call("apps", {})).toEqual([]);
    expect(sessions).toBe(3);
    patient.close();
    server.close();
  });

  it("is not asked again when it then refuses for a reason of its own", async () => {
    let calls = 0;
    const server = await fakeServer((socket) => {
      socket.write(greeting("apps"));
      socket.on("data", (chunk) => {
        const id = /"callbacks":\{"(\d+)"/.exec(String(chunk))?.[1];
        if (!id) return;
        calls += 1;
        const answer = calls === 1 ? passing : { code: "APP_EXITED", message: "it exited", details: {} };
        socket.write(`{"method":${id},"arguments":${JSON.stringify([answer])}}\n`);
      });
    });
    const client = await connect({ server: server.address });
    await expect(client.call("apps", {})).rejects.toMatchObject({ code: "APP_EXITED" });
    expect(calls).toBe(2);
    client.close();
    server.close();
  });

  it("is asked over a new connection when the old one has ended meanwhile", async () => {
    const sockets: Socket[] = [];
    const server = await fakeServer((socket) => {
      sockets.push(socket);
      socket.write(greeting("apps"));
      answerTo(socket, [null, []]);
    });
    const client = await connect({ server: server.address });
    sockets[0]?.destroy();
    // A call that is sent before the end is noticed fails; every one after it does not.
    await vi.waitFor(async () => expect(await client.call("apps", {})).toEqual([]));
    expect(sockets).toHaveLength(2);
    client.close();
    server.close();
  });

  it("and dies with a question is asked again only when that does nothing twice", async () => {
    let sessions = 0;
    const server = await fakeServer((socket) => {
      sessions += 1;
      socket.write(greeting("apps"));
      if (sessions % 2 === 1) socket.on("data", () => socket.destroy());
      else answerTo(socket, [null, []]);
    });
    const client = await connect({ server: server.address });
    await expect(client.call("apps", {})).rejects.toThrow("it may have been done");
    client.close();
    sessions = 0;
    const repeating = await connect({ server: server.address });
    expect(await repeating.call("apps", {}, { repeat: true })).toEqual([]);
    expect(sessions).toBe(2);
    repeating.close();
    server.close();
  });
});

const greeting = (method: string) =>
  `${JSON.stringify({ method: "methods", arguments: [{ [method]: "f" }], callbacks: { 0: ["0", method] } })}\n`;

async function fakeServer(
  onConnection: (socket: Socket) => void,
): Promise<{ address: string; close(): Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // Cut by the client.
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on TCP");
  return { address: `127.0.0.1:${address.port}`, close: () => server.close() };
}
