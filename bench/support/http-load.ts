/**
 * A load of its own process: `http-load.ts JSON`, with the fields of `Load`. Requests as bytes, one after another on
 * each connection. Prints `{ requests, failures, bytes, latenciesUs }` as JSON; the latencies are p50, p99.
 */
import { connect, type Socket } from "node:net";
import { quantile } from "./table.ts";

export type Load = {
  port: number;
  path: string;
  connections: number;
  seconds: number;
  /** Bytes of the body of each request; 0 for a GET. */
  sends?: number;
  /** A connection for each request. */
  closes?: boolean;
};

export type LoadResult = {
  requests: number;
  failures: number;
  bytes: number;
  latenciesUs: [p50: number, p99: number];
};

const load = JSON.parse(process.argv[2] ?? "") as Load;
const { port, path, connections, seconds, sends = 0, closes = false } = load;
const request = Buffer.from(
  `${sends > 0 ? "POST" : "GET"} ${path} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n` +
    `${sends > 0 ? `Content-Length: ${sends}\r\n` : ""}${closes ? "Connection: close\r\n" : ""}\r\n` +
    "x".repeat(sends),
);
const latenciesUs: number[] = [];
let failures = 0;
let bytes = 0;
let ending = false;

setTimeout(() => {
  ending = true;
}, seconds * 1000);

await Promise.all(Array.from({ length: connections }, run));
const [p50, p99] = [quantile(latenciesUs, 0.5), quantile(latenciesUs, 0.99)];
const result: LoadResult = { requests: latenciesUs.length, failures, bytes, latenciesUs: [p50, p99] };
console.log(JSON.stringify(result));

async function run(): Promise<void> {
  do await onConnection();
  while (closes && !ending);
}

async function onConnection(): Promise<void> {
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
    bytes += chunk.length;
    missing = missing === 0 ? lengthOf(chunk) - chunk.length : missing - chunk.length;
    if (missing > 0) return;
    latenciesUs.push((performance.now() - began) * 1000);
    if (ending || closes) return void socket.end();
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
