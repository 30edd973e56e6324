import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Handle } from "./handle.ts";
import { HandleWire } from "./handle-wire.ts";
import { SocketWire } from "./socket-wire.ts";
import type { Open, Reader, Wire } from "./wire.ts";

/** How connections become wires. */
export type Wires = {
  /** Of a socket that is connected and paused, and of which nothing has been read. */
  over(socket: Socket, reader: Reader): Wire;
  /** Takes the connections of a server that listens. */
  accept(server: Server, onConnection: (open: Open) => void): void;
};

/** As everybody does. */
export const socketWires: Wires = {
  over: (socket, reader) => new SocketWire(socket, reader),
  accept(server, onConnection) {
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
    Object.assign(server, options).on("connection", (socket) =>
      onConnection((reader) => new SocketWire(socket, reader)),
    );
  },
};

type Listening = { onconnection(error: number, handle: Handle | undefined): void };

/** Without sockets: what Node has under them is taken out of one that has connected, and never put into one. */
export const handleWires: Wires = {
  over(socket, reader) {
    const handle = handleOf(socket) as Handle;
    Reflect.set(socket, "_handle", null);
    return new HandleWire(handle, reader);
  },
  accept(server, onConnection) {
    const listening = handleOf(server) as Listening;
    listening.onconnection = (_error, handle) => {
      if (!handle) return; // Whoever it was, the kernel could not let him in.
      handle.setNoDelay(true);
      onConnection((reader) => new HandleWire(handle, reader));
    };
  },
};

function handleOf(of: Socket | Server): unknown {
  return Reflect.get(of, "_handle");
}

/** Those without sockets, where they work as they are known to. */
export async function findWires(): Promise<Wires> {
  return (await handlesWork()) ? handleWires : socketWires;
}

/** A moment is more than the loopback needs, ms. */
const trialMs = 1000;

/** Sends a few bytes there and back, from a wire that has connected to one that was accepted, until both have closed. */
async function handlesWork(): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(0, "127.0.0.1"), "listening");
    handleWires.accept(server, (open) => new Echo(open));
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true }).pause();
    const signal = AbortSignal.timeout(trialMs);
    await once(socket, "connect", { signal });
    const client = new Client((reader) => handleWires.over(socket, reader));
    await Promise.race([client.closed, once(signal, "abort")]);
    return client.received === "ping";
  } catch {
    return false; // Whatever it is: it works as it is known to, or it is not used.
  } finally {
    server.close();
  }
}

class Echo implements Reader {
  readonly #wire: Wire;

  constructor(open: Open) {
    this.#wire = open(this);
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#wire.write(Buffer.from(bytes.subarray(0, length)));
  }

  onEnd(): void {
    this.#wire.end();
  }

  onClose(): void {}
}

class Client implements Reader {
  readonly closed: Promise<void>;
  readonly onClose: () => void;
  received = "";

  constructor(open: Open) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.onClose = resolve;
    const wire = open(this);
    wire.write(Buffer.from("ping"));
    wire.end();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.received += bytes.toString("latin1", 0, length);
  }

  onEnd(): void {}
}
