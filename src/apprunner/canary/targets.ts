import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";

/** The addresses of this machine that lead to itself, besides 127.0.0.1: one of each kind is enough. */
export function outerAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outer = all.find(({ family, internal }) => family === "IPv4" && !internal);
  return outer ? [outer.address] : [];
}

/** Some system calls that no web application needs, with arguments that harm nobody where they are allowed. */
export function callsOf(architecture: string): Record<string, number[]> {
  switch (architecture) {
    case "x64":
      return {
        "trace another process": [101, 0, 0, 0, 0],
        "use the keyrings of the kernel": [250, 0, -2, 0],
      };
    case "arm64":
      return {
        "trace another process": [117, 0, 0, 0, 0],
        "use the keyrings of the kernel": [219, 0, -2, 0],
      };
    default:
      return {};
  }
}

/** A port of this process, on every address: one of those that are not the apps' business. */
export async function listen(): Promise<Disposable & { port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // whoever comes may go as it likes
    socket.end("Maestro\n");
  }).listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => server.close() };
}

/** What a client on this machine hears at a port; null when no connection comes about. */
export async function reach(port: number): Promise<string | null> {
  const socket = connect({ host: "127.0.0.1", port });
  const signal = AbortSignal.timeout(1000);
  try {
    await once(socket, "connect", { signal });
    const [data] = await once(socket, "data", { signal });
    return String(data).trim();
  } catch {
    return socket.readyState === "open" ? "a connection" : null; // refused, reset, or nobody answered
  } finally {
    socket.on("error", () => {});
    socket.destroy();
  }
}
