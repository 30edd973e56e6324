import { createServer } from "node:http";
import { join } from "node:path";
import express from "express";
import { WebSocketServer } from "ws";

// What Maestro tells an app about itself, and what stands there without Maestro: `npm ci && node server.js`.
const {
  PORT = "3000",
  HOST = "127.0.0.1",
  MAESTRO_RELEASE = "none",
  MAESTRO_INSTANCE = "none",
} = process.env;
const self = { release: MAESTRO_RELEASE, instance: MAESTRO_INSTANCE };
const longestMessage = 2000;

const app = express();
app.get("/health", (_request, response) => response.json(self));
app.use(express.static(join(import.meta.dirname, "public")));

const server = createServer(app);
const chat = new WebSocketServer({ server, path: "/chat", maxPayload: 4 * longestMessage });

chat.on("connection", (socket) => {
  socket.on("error", (error) => console.error(`a connection failed: ${error.message}`));
  socket.on("message", (data) => receive(data));
  socket.on("close", tellPresence);
  socket.send(JSON.stringify({ type: "welcome", ...self }));
  tellPresence();
});

server.listen(Number(PORT), HOST, () => console.log(`express-chat listens on http://${HOST}:${PORT}/`));

// 1001 is "going away": the page connects again, and by then the proxy leads it to the next instance.
process.once("SIGTERM", () => {
  console.log(`express-chat was asked to end; ${chat.clients.size} people are told`);
  server.close();
  for (const socket of chat.clients) socket.close(1001, "a new release takes over");
});

function receive(data) {
  const message = parse(data);
  if (message === null) return;
  const name = message.name.slice(0, 40);
  tellAll({ type: "message", name, text: message.text.slice(0, longestMessage), at: Date.now() });
}

/** What people send is theirs to get wrong; it must not end the chat of the others. */
function parse(data) {
  try {
    const message = JSON.parse(String(data));
    return typeof message?.name === "string" && typeof message?.text === "string" ? message : null;
  } catch {
    return null;
  }
}

function tellPresence() {
  tellAll({ type: "presence", people: chat.clients.size });
}

function tellAll(message) {
  const text = JSON.stringify(message);
  for (const socket of chat.clients) if (socket.readyState === socket.OPEN) socket.send(text);
}
