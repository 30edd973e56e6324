/**
 * What the firewall costs: time to connect over loopback with and without its table, for somebody who is no app, for an
 * app that asks an open port, and for one that asks its own helper; and the time of one `own`. Run as root:
 *   node bench/network.ts [CONNECTIONS]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Firewall } from "../src/apprunner/network/firewall.ts";

const connections = Number(process.argv[2] ?? 3000);
const rounds = 5;
const appUid = 1_987_670_001;
const openPort = 19_480;
const options = {
  id: `bench_${process.pid}`,
  uids: { from: appUid, to: appUid },
  maestros: { from: appUid, to: appUid },
  ports: { from: 19_400, to: 19_479 },
  openPorts: [openPort],
  closedPorts: [],
};

/** Microseconds per connection, one after the other, until it stands and is closed again. */
async function perConnection(port: number): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < connections; i += 1) {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.resetAndDestroy();
  }
  return ((performance.now() - began) * 1000) / connections;
}

async function listen(port: number): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {})).listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** The child: an app with a helper of its own. */
async function app(): Promise<void> {
  const helper = await listen(0);
  process.on("message", async (what) => {
    process.send?.(await perConnection(what === "helper" ? helper : openPort));
  });
  process.on("disconnect", () => process.exit());
  process.send?.("ready");
}

const median = (values: number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function main(): Promise<void> {
  await listen(openPort);
  const child = fork(import.meta.filename, [String(connections), "app"], {
    uid: appUid,
    gid: appUid,
    cwd: "/",
  });
  await once(child, "message");
  const asApp = async (what: string) => {
    child.send(what);
    return Number((await once(child, "message"))[0]);
  };
  const found = { without: [[], [], []] as number[][], with: [[], [], []] as number[][] };
  const measure = async (into: number[][]) => {
    into[0]?.push(await perConnection(openPort));
    into[1]?.push(await asApp("open"));
    into[2]?.push(await asApp("helper"));
  };
  const owning: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await measure(found.without);
    const firewall = await Firewall.open(options);
    try {
      await measure(found.with);
      for (let port = 19_400; port < 19_410; port += 1) {
        const began = performance.now();
        await firewall.own(appUid, port);
        owning.push(performance.now() - began);
      }
    } finally {
      await firewall.close();
    }
  }
  child.disconnect();
  const rows = ["no app", "app, open port", "app, its own helper"].map((who, index) => ({
    who,
    "without, µs": median(found.without[index] ?? []).toFixed(1),
    "with, µs": median(found.with[index] ?? []).toFixed(1),
  }));
  console.table(rows);
  console.log(`own: ${median(owning).toFixed(1)} ms at the median of ${owning.length}`);
  process.exit();
}

await (process.argv[3] === "app" ? app() : main());
