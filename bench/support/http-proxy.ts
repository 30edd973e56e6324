/** http-proxy as it comes, with an agent that keeps connections: `http-proxy.ts PORT UPSTREAM-PORT`. */
import { Agent, createServer } from "node:http";
import HttpProxy from "http-proxy";

const [port = 0, upstream = 0] = process.argv.slice(2).map(Number);
process.noDeprecation = true; // It calls `util._extend`.
const proxy = HttpProxy.createProxyServer({
  target: { host: "127.0.0.1", port: upstream },
  agent: new Agent({ keepAlive: true }),
  xfwd: true,
});
createServer((request, response) => proxy.web(request, response)).listen(port, "127.0.0.1");
