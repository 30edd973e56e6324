import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join, resolve } from "node:path";
import sirv from "sirv";

/**
 * Serves a directory of static files on $HOST:$PORT: `node static-server DIRECTORY`. Runs as an app does, from a copy
 * outside of Maestro (see static-runtime.ts), so it imports nothing but sirv.
 */
const directory = resolve(process.argv[2] ?? ".");
const files = sirv(directory, { etag: true, gzip: true, brotli: true, dotfiles: false, onNoMatch: notFound });
const notFoundPage = readNotFoundPage(join(directory, "404.html"));

const server = createServer((request, response) => {
  if (request.method === "GET" || request.method === "HEAD") files(request, response);
  else response.writeHead(405, { Allow: "GET, HEAD" }).end();
});
server.listen(Number(process.env["PORT"] ?? 8080), process.env["HOST"] ?? "127.0.0.1");

// Answers under way are finished; the process ends when the last connection does.
process.once("SIGTERM", () => {
  server.on("request", (_request, response: ServerResponse) => {
    response.once("close", () => server.closeIdleConnections());
  });
  server.close();
});

function notFound(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(404, {
    "Content-Type": notFoundPage.type,
    "Content-Length": notFoundPage.body.length,
  });
  response.end(request.method === "HEAD" ? undefined : notFoundPage.body);
}

function readNotFoundPage(path: string): { type: string; body: Buffer } {
  if (existsSync(path)) return { type: "text/html;charset=utf-8", body: readFileSync(path) };
  return { type: "text/plain;charset=utf-8", body: Buffer.from("Not found") };
}
