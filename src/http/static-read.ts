import { once } from "node:events";
import { connect, createServer, type OnReadOpts, Socket } from "node:net";

/**
 * A socket that has been accepted, as one that reads into a buffer of ours instead of a new one for each packet: half
 * of what a small request costs. Node offers that (`onread`) for sockets that connect only, so the handle is moved
 * into a new socket. That is not documented: `canReadStatically` tries it before it is relied upon.
 */
export function withStaticRead(accepted: Socket, onread: OnReadOpts): Socket {
  const handle: unknown = Reflect.get(accepted, "_handle");
  Reflect.set(accepted, "_handle", null);
  return Reflect.construct(Socket, [{ handle, onread, allowHalfOpen: true }]);
}

/** Sends a few bytes there and back over a connection of its own. */
export async function canReadStatically(): Promise<boolean> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  try {
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    if (address === null || typeof address === "string") return false;
    const accepting = once(server, "connection");
    const client = connect({ host: "127.0.0.1", port: address.port });
    const [accepted] = (await accepting) as [Socket];
    return await echoes(client, accepted);
  } catch {
    return false; // Whatever it is: it works as it is known to, or it is not used.
  } finally {
    server.close();
  }
}

/** A moment is more than the loopback needs, ms. */
const probeMs = 1000;

async function echoes(client: Socket, accepted: Socket): Promise<boolean> {
  const buffer = Buffer.alloc(16);
  const moved = withStaticRead(accepted, {
    buffer,
    callback: (length, bytes) => moved.write(Buffer.from(bytes.subarray(0, length))),
  });
  try {
    client.write("ping");
    const [answer] = (await once(client, "data", { signal: AbortSignal.timeout(probeMs) })) as [Buffer];
    return answer.toString() === "ping" && buffer.subarray(0, 4).toString() === "ping";
  } finally {
    client.destroy();
    moved.destroy();
  }
}
