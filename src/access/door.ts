import { once } from "node:events";
import { chmod, chown, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { toWire, type WireError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import { End, Statement } from "../protocol/gate.ts";

/** What happens behind the door. A throw is told to the gate, and is the end. */
export type Visits = {
  /** The connection is the session's from here on. */
  operations(statement: Statement & { purpose: "operations" }, socket: Socket): void;
  /** `visit` ends when the gate has, or when what it told the gate has been told. */
  transfer(statement: Statement & { purpose: "send" | "push" }, visit: Visit): Promise<void>;
  /** Answers what the gate says of it. */
  refused(statement: Statement & { purpose: "refused" }): string;
};

/** A gate that waits for an answer, or that works by the permission it was given. */
export type Visit = {
  /** Aborted when the gate is gone. */
  signal: AbortSignal;
  say(line: object): void;
  /** How the gate's program ended; null when the gate is gone without a word. */
  ended: Promise<End | null>;
};
const statementMs = 10_000;
const mostBytes = 16 * 1024;

/** Opens the socket at which gates state what a key is used for: its directory lets in none but the SSH user and root. */
export async function openDoor(
  path: string,
  gid: number,
  visits: Visits,
  log: Log,
): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    sockets.add(socket.once("close", () => sockets.delete(socket)));
    socket.on("error", () => {}); // "close" follows.
    receive(socket, visits).catch((error: unknown) => {
      const wire = toWire(error);
      log.warn({ code: wire.code, message: wire.message }, "access.refused");
      socket.end(`${JSON.stringify(refusal(wire))}\n`);
    });
  });
  await listen(server, path, gid);
  server.on("error", (error) => log.error({ err: error }, "access.accept.failed"));
  return {
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroySoon();
      await closed;
    },
  };
}

/** For the gate, and as the first message of a session, whose end it is: see sdk/connection.ts. */
const refusal = (wire: WireError) => ({
  error: wire.message,
  method: "error",
  arguments: [wire],
  callbacks: {},
  links: [],
});

async function listen(server: Server, path: string, gid: number): Promise<void> {
  await rm(path, { force: true });
  server.listen(path);
  await once(server, "listening");
  await chown(path, -1, gid);
  await chmod(path, 0o660);
}

async function receive(socket: Socket, visits: Visits): Promise<void> {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  const inTime = AbortSignal.any([gone.signal, AbortSignal.timeout(statementMs)]);
  const statement = Statement.parse(JSON.parse(await readLine(socket, inTime)));
  if (statement.purpose === "operations") visits.operations(statement, socket);
  else if (statement.purpose === "refused") {
    socket.end(`${JSON.stringify({ error: visits.refused(statement) })}\n`);
  } else {
    const say = (line: object) => void socket.write(`${JSON.stringify(line)}\n`);
    await visits.transfer(statement, { signal: gone.signal, say, ended: readEnd(socket, gone.signal) });
    socket.end();
  }
}

async function readEnd(socket: Socket, signal: AbortSignal): Promise<End | null> {
  try {
    return End.parse(JSON.parse(await readLine(socket, signal)));
  } catch {
    return null; // Gone, or of a version that says something else: what it was let do is over in any case.
  }
}

/** The next line, without its end. What comes behind it stays in the socket. */
async function readLine(socket: Socket, signal: AbortSignal): Promise<string> {
  let text = Buffer.alloc(0);
  for (;;) {
    const end = text.indexOf("\n");
    if (end !== -1) {
      socket.unshift(text.subarray(end + 1));
      return text.subarray(0, end).toString("utf8");
    }
    if (text.length > mostBytes || socket.readableEnded) throw new Error("nothing was stated");
    const chunk: Buffer | null = socket.read();
    if (chunk === null) await once(socket, "readable", { signal });
    else text = Buffer.concat([text, chunk]);
  }
}
