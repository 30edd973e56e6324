import { Agent, request } from "node:http";

/** A database on a server. `at`: as Node's `request` takes it. */
export type DataServer = {
  name: string;
  at: { host: string; port: number } | { socketPath: string };
  authorization: string;
  database: string;
};

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** The time from a request to the end of its answer, ms. */
export async function timed(server: DataServer, method: string, path: string, body = ""): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const began = performance.now();
  const headers = {
    authorization: server.authorization,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  const options = {
    agent,
    ...server.at,
    method,
    path: `/${server.database}${path}`,
    headers,
  };
  const sent = request(options, (response) => {
    response.resume().once("end", () => {
      if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${response.statusCode}`));
      else resolve(performance.now() - began);
    });
  });
  sent.once("error", reject).end(body);
  return promise;
}
