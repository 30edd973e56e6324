/**
 * `idle-clients.ts PORT COUNT`: opens so many connections, has one request answered on each, and then holds them.
 * Prints `ready` when all of them are idle; ends with its standard input.
 */
import { once } from "node:events";
import { connect } from "node:net";

const [port = 0, count = 0] = process.argv.slice(2).map(Number);
const atOnce = 100;

for (let done = 0; done < count; done += atOnce) {
  await Promise.all(Array.from({ length: Math.min(atOnce, count - done) }, open));
}
console.log("ready");
process.stdin.resume().once("end", () => process.exit());

async function open(): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write("GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n");
  await once(socket, "data");
}
