/** What stands behind the proxies where there is no nginx: `upstream.ts PORT`. */
import { createServer } from "node:http";

const bodies: Record<string, Buffer> = {
  "/small": Buffer.from("hello\n"),
  "/large": Buffer.alloc(100 * 1024, "x"),
  "/huge": Buffer.alloc(10 * 1024 * 1024, "x"),
};
createServer((request, response) => {
  const body = bodies[request.url ?? ""] ?? Buffer.alloc(0);
  request.resume().once("end", () => response.writeHead(200, { "Content-Length": body.length }).end(body));
}).listen(Number(process.argv[2]), "127.0.0.1");
