/**
 * What a connection costs in Node at the least: accepts, answers and closes, and forwards nothing: `floor.ts PORT`.
 * Nothing written with `node:net` can do with less for a client that closes after each request.
 */
import { createServer } from "node:net";

const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.once("data", () => socket.end(answer));
}).listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
