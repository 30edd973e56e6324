import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { PortAllocator } from "../../src/apprunner/ports.ts";

/** Listens on a port until it is disposed of. */
async function occupy(port: number, host: string) {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  return server;
}

describe("the allocator of ports", () => {
  it("gives each of many who ask at once another port of its range", async () => {
    const ports = new PortAllocator({ from: 31_000, to: 31_099 });
    const leases = await Promise.all(Array.from({ length: 60 }, () => ports.lease()));
    const given = leases.map(({ port }) => port);
    expect(new Set(given).size).toBe(60);
    expect(given.every((port) => port >= 31_000 && port <= 31_099)).toBe(true);
  });

  it.each([
    ["127.0.0.1", 31_200],
    ["::1", 31_210],
  ])("passes over a port on which somebody listens at %s", async (host, port) => {
    await using _stranger = await occupy(port, host);
    const ports = new PortAllocator({ from: port, to: port + 1 });
    expect((await ports.lease()).port).toBe(port + 1);
  });

  it("says that none is free rather than give one from outside of its range", async () => {
    await using _stranger = await occupy(31_300, "127.0.0.1");
    const ports = new PortAllocator({ from: 31_300, to: 31_300 });
    await expect(ports.lease()).rejects.toMatchObject({ code: "BUSY" });
  });

  it("does not give a port that is reserved, until it is released", async () => {
    const ports = new PortAllocator({ from: 31_400, to: 31_400 });
    const adopted = ports.reserve(31_400);
    await expect(ports.lease()).rejects.toMatchObject({ code: "BUSY" });
    adopted.release();
    using lease = await ports.lease();
    expect(lease.port).toBe(31_400);
    adopted.release(); // a second time: it is no longer its to release
    await expect(ports.lease()).rejects.toMatchObject({ code: "BUSY" });
  });
});
