// Stands for somebody else's app: has files, a secret in its environment and a port, and hopes to be left alone. Ends by
// itself when nobody ends it.
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";

const { PORT, LEFT } = process.env;
writeFileSync(LEFT, "the neighbour left this\n");
const leave = () => {
  rmSync(LEFT, { force: true });
  process.exit();
};
process.once("SIGTERM", leave);
setTimeout(leave, 120_000);
createServer((socket) => socket.on("error", () => {}).end("the neighbour\n")).listen(
  Number(PORT),
  "127.0.0.1",
);
