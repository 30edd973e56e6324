import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { z } from "zod";
import { isSystemError, MaestroError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";

/** The first port that is tried for the endpoint; below those that the system gives to outgoing connections. */
const firstPort = 7984;
const portTries = 1000;

const PortFile = z.object({ v: z.literal(1), port: z.int().min(1).max(65535) });

/** The endpoint's port: chosen once, since it stands in the environment of apps that run. */
export async function endpointPort(path: string): Promise<number> {
  try {
    return PortFile.parse(JSON.parse(await readFile(path, "utf8"))).port;
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
  const port = await freePort();
  await writeAtomic(path, JSON.stringify({ v: 1, port }));
  return port;
}

async function freePort(): Promise<number> {
  // Two Maestros that start at once should not both look at the same port.
  const start = process.pid % portTries;
  for (let step = 0; step < portTries; step += 1) {
    const port = firstPort + ((start + step) % portTries);
    if (await isFree(port)) return port;
  }
  throw new MaestroError("INTERNAL", `no port from ${firstPort} on is free for the databases' endpoint`, {});
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    server.close();
    await once(server, "close");
    return true;
  } catch (error) {
    if (isSystemError(error, "EADDRINUSE", "EACCES")) return false;
    throw error;
  }
}
