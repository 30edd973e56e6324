/**
 * A load of its own process: `http-load.ts PORT PATH CONNECTIONS SECONDS`. Each connection is kept and carries one
 * request after another, as bytes. Prints `{ requests, failures, latenciesUs }` as JSON; the latencies are p50, p99.
 */
import { connect, type Socket } from "node:net";
import { quantile } from "./table.ts";

const [port = 0, path = "/", connections = 64, seconds = 3] = process.argv
  .slice(2)
  .map((text) => (text.startsWith("/") ? text : Number(text))) as [number, string, number, number];
const request = Buffer.from(
  `GET ${path} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`,
);
const latenciesUs: number[] = [];
let failures = 0;
let ending = false;

setTimeout(() => {
  ending = true;
}, seconds * 1000);

await Promise.all(Array.from({ length: connections }, run));
const [p50, p99] = [quantile(latenciesUs, 0.5), quantile(latenciesUs, 0.99)];
console.log(JSON.stringify({ requests: latenciesUs.length, failures, latenciesUs: [p50, p99] }));

async function run(): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {
    failures += 1; // Also of a connection that was never made: the figures are then worth nothing.
  });
  exchange(socket);
  await ended;
}

function exchange(socket: Socket): void {
  let missing = 0;
  let began = performance.now();
  socket.on("data", (chunk: Buffer) => {
    missing = missing === 0 ? lengthOf(chunk) - chunk.length : missing - chunk.length;
    if (missing > 0) return;
    latenciesUs.push((performance.now() - began) * 1000);
    if (ending) return void socket.end();
    began = performance.now();
    socket.write(request);
  });
  socket.write(request);
}

/** Of the whole answer, by its head, which comes in one piece on a loopback. */
function lengthOf(chunk: Buffer): number {
  const end = chunk.indexOf("\r\n\r\n");
  const head = chunk.toString("latin1", 0, end);
  if (!head.startsWith("HTTP/1.1 200")) failures += 1;
  return end + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
}
