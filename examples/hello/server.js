import { readFileSync } from "node:fs";
import { createServer } from "node:http";

// What Maestro tells an app about itself, and what stands there when it runs without Maestro: `node server.js`.
const {
  PORT = "3000",
  HOST = "127.0.0.1",
  MAESTRO_APP = "hello",
  MAESTRO_RELEASE = "none",
  MAESTRO_INSTANCE = "none",
} = process.env;
const self = { app: MAESTRO_APP, release: MAESTRO_RELEASE, instance: MAESTRO_INSTANCE, pid: process.pid };
const page = fill(readFileSync(new URL("page.html", import.meta.url), "utf8"), self);
const startedAt = Date.now();
const visitors = new Set();

const server = createServer((request, response) => {
  const [path] = request.url.split("?");
  if (path === "/") return answer(response, 200, "text/html", page);
  if (path === "/events") return follow(response);
  answer(response, 404, "text/plain", "There is nothing here.\n");
});

server.listen(Number(PORT), HOST, () => console.log(`hello listens on http://${HOST}:${PORT}/`));
const ticking = setInterval(tellAll, 1000);

// Maestro says when it is time to go: what is open gets a last event, and the process ends by itself.
process.once("SIGTERM", () => {
  console.log(`hello was asked to end; ${visitors.size} visitors are told`);
  clearInterval(ticking);
  server.close();
  for (const visitor of visitors) visitor.end(event("goodbye", self));
});

/** An event stream: what a page needs to keep itself up to date. */
function follow(response) {
  // Nothing comes after a stream on its connection: kept alive, it would only hold up the end of this process.
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    connection: "close",
  });
  response.write("retry: 300\n\n");
  visitors.add(response);
  response.on("close", () => {
    visitors.delete(response);
    tellAll();
  });
  tellAll();
}

function tellAll() {
  const uptime = Math.floor((Date.now() - startedAt) / 1000);
  const state = event("state", { ...self, uptime, visitors: visitors.size });
  for (const visitor of visitors) if (!visitor.writableEnded) visitor.write(state);
}

function event(name, data) {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

function answer(response, status, type, body) {
  response
    .writeHead(status, { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store" })
    .end(body);
}

/** {{name}} in the page becomes the value, harmless in HTML. */
function fill(template, values) {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name) =>
    String(values[name]).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`),
  );
}
