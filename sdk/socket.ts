import { once } from "node:events";
import { connect, type NetConnectOpts } from "node:net";
import { isSystemError, MaestroError } from "../src/errors.ts";
import type { Link } from "./link.ts";
import { cutOff, unreachable } from "./session-errors.ts";

const keepAliveMs = 30_000;

/** A link by TCP, "host:port", or by the path of a unix socket. Throws `BAD_INPUT`, and `INTERNAL` when nobody is there. */
export async function openSocket(server: string, deadline: AbortSignal): Promise<Link> {
  const socket = connect(addressOf(server));
  try {
    await once(socket, "connect", { signal: deadline });
    socket.setKeepAlive(true, keepAliveMs).setNoDelay();
  } catch (error) {
    socket.destroy();
    throw unreachable(server, isSystemError(error) ? error.code : "no answer", error);
  }
  socket.on("error", () => {}); // "close" follows.
  return {
    closed: new Promise((resolve) => socket.once("close", () => resolve(cutOff(server)))),
    write: (text) => void socket.write(text),
    onData: (listener) => void socket.on("data", listener),
    end: () => socket.destroySoon(),
  };
}

function addressOf(server: string): NetConnectOpts {
  if (server.includes("/")) return { path: server };
  const match = /^(?:\[([^\]\s]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(server);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65535) return { host: match[1] ?? (match[2] || "127.0.0.1"), port };
  throw new MaestroError(
    "BAD_INPUT",
    `"${server}" is not a server; write host:port, or the path of a unix socket`,
    { server },
  );
}
