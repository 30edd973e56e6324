import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { Reader, Wire } from "../../src/http/wire.ts";
import { findWires, handleWires, socketWires, type Wires } from "../../src/http/wires.ts";

/** Keeps what it is told of a wire. */
class Witness implements Reader {
  readonly wire: Wire;
  readonly ended: Promise<void>;
  readonly closed: Promise<void>;
  readonly onEnd: () => void;
  readonly onClose: () => void;
  received = "";

  constructor(open: (reader: Reader) => Wire) {
    const [ended, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    [this.ended, this.onEnd] = [ended.promise, ended.resolve];
    [this.closed, this.onClose] = [closed.promise, closed.resolve];
    this.wire = open(this);
  }

  onBytes(bytes: Buffer, length: number): void {
    this.received += bytes.toString("latin1", 0, length);
  }
}

/** A wire that was accepted, and the socket at its other end. */
async function accepted(wires: Wires): Promise<{ witness: Witness; client: Socket }> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { promise, resolve } = Promise.withResolvers<Witness>();
  wires.accept(server, (open) => resolve(new Witness(open)));
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {});
  const [witness] = await Promise.all([promise, once(client, "connect")]);
  server.close();
  return { witness, client };
}

/** More than the kernel takes while nobody reads. */
const much = Buffer.alloc(32 * 1024 ** 2, "x");

it("does without Node's sockets in the Node that Maestro comes with", async () => {
  expect(await findWires()).toBe(handleWires);
});

describe.each([
  ["without a socket", handleWires],
  ["with a socket", socketWires],
])("a wire %s", (_name, wires) => {
  it("is read after the other side has ended, and written to until it ends itself", async () => {
    const { witness, client } = await accepted(wires);
    client.end("over");
    await witness.ended;
    expect(witness.received).toBe("over");
    expect(witness.wire.isOpen).toBe(true);
    witness.wire.write(Buffer.from("and out"));
    witness.wire.end();
    const [answer] = (await once(client, "data")) as [Buffer];
    expect(answer.toString()).toBe("and out");
    await witness.closed;
  });

  it("tells when what had to wait has left, in order", async () => {
    const { witness, client } = await accepted(wires);
    const { wire } = witness;
    wire.write(much);
    wire.write(Buffer.from("last"));
    expect(wire.pending).toBeGreaterThan(0);
    const flushed = new Promise<void>((resolve) => wire.whenFlushed(resolve));
    wire.end();
    let length = 0;
    let tail = "";
    client.on("data", (bytes: Buffer) => {
      length += bytes.length;
      tail = (tail + bytes.toString("latin1")).slice(-4);
    });
    await once(client, "end");
    await flushed;
    expect([length, tail]).toEqual([much.length + 4, "last"]);
    client.end();
    await witness.closed;
  });

  it("lets go of who waits for it when it is destroyed", async () => {
    const { witness, client } = await accepted(wires);
    const { wire } = witness;
    wire.write(much);
    const flushed = new Promise<void>((resolve) => wire.whenFlushed(resolve));
    wire.destroy();
    await Promise.all([flushed, witness.closed]);
    expect([wire.pending, wire.isOpen]).toEqual([0, false]);
    client.destroy();
  });

  it("is closed when the other side resets it", async () => {
    const { witness, client } = await accepted(wires);
    client.resetAndDestroy();
    await witness.closed;
    expect(witness.wire.isOpen).toBe(false);
  });

  it("resets the other side", async () => {
    const { witness, client } = await accepted(wires);
    const failed = once(client, "error");
    witness.wire.reset();
    const [error] = (await failed) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");
    await witness.closed;
  });

  it("knows both ends", async () => {
    const { witness, client } = await accepted(wires);
    expect(witness.wire.remoteAddress).toBe("127.0.0.1");
    expect(witness.wire.localPort).toBe(client.remotePort);
    client.destroy();
    witness.wire.destroy();
  });
});
