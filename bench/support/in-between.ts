import type { TestEndpoint } from "../../test/support/data-endpoint.ts";
import { cpuMs } from "./cpu.ts";
import { type DataServer, timed } from "./data-server.ts";
import { installNeighbours } from "./packages.ts";
import { startNginx } from "./proxies.ts";
import { median, table } from "./table.ts";

const reads = 5000;
/** Before the first figure: some 10,000 reads are needed until V8 has compiled for good what the endpoint does, ms. */
const warmMs = 10_000;

/** `pid`: whose processor time it costs beside the database's. */
type Way = { server: DataServer; pid: number };

/**
 * What the endpoint adds to a read, and an nginx in its place, as a table. All of them ask one database process, the one
 * behind the endpoint: of two the one that is asked more often is warmer, and answers sooner.
 */
export async function addedToRead(endpoint: TestEndpoint, through: DataServer): Promise<string> {
  const socketPath = endpoint.local.socket ?? "";
  const straight: Way = {
    server: { ...through, name: "straight", at: { socketPath } },
    pid: endpoint.local.pid,
  };
  const ways: Way[] = [straight, { server: through, pid: endpoint.pid }];
  const nginx = (await installNeighbours(["nginx"])).has("nginx")
    ? await startNginx(endpoint.directory, `unix:${socketPath}`)
    : null;
  if (nginx) {
    const server = { ...through, name: "through an nginx", at: { host: "127.0.0.1", port: nginx.port } };
    ways.push({ server, pid: nginx.pid });
  }
  try {
    return await compare(ways);
  } finally {
    await nginx?.end();
  }
}

/** The first way is the one without anything in between; its process answers for all of them. */
async function compare(ways: readonly Way[]): Promise<string> {
  const servers = ways.map(({ server }) => server);
  const warmAt = performance.now() + warmMs;
  await readsInTurn(servers, () => performance.now() < warmAt);
  const cpuBefore = await Promise.all(ways.map(({ pid }) => cpuMs(pid)));
  const medians = (await readsInTurn(servers, (n) => n < reads)).map(median);
  const cpuAfter = await Promise.all(ways.map(({ pid }) => cpuMs(pid)));
  const rows = servers.map(({ name }, index) => {
    const cpu = (cpuAfter[index] ?? Number.NaN) - (cpuBefore[index] ?? Number.NaN);
    const [ms = Number.NaN, plain = Number.NaN] = [medians[index], medians[0]];
    if (index === 0) return [name, ms.toFixed(3), "", (cpu / reads / ways.length).toFixed(3)];
    return [name, ms.toFixed(3), (ms - plain).toFixed(3), (cpu / reads).toFixed(3)];
  });
  return table(["a read, one at a time, in turn", "median ms", "added ms", "processor ms"], rows);
}

/** What reads took by each way, ms. They take turns: what the machine does in between is in all of them. */
async function readsInTurn(
  servers: readonly DataServer[],
  goesOn: (n: number) => boolean,
): Promise<number[][]> {
  const times = servers.map((): number[] => []);
  for (let n = 0; goesOn(n); n += 1) {
    for (const [index, server] of servers.entries())
      times[index]?.push(await timed(server, "GET", `/one-${n % 500}`));
  }
  return times;
}
