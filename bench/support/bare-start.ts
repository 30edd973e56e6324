import { spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import getPort from "get-port";

/** The app alone: from spawn to its first 200, in ms. */
export async function bareStart(directory: string): Promise<number> {
  const port = await getPort();
  const began = performance.now();
  const env = { ...process.env, PORT: String(port), HOST: "127.0.0.1", NODE_ENV: "production" };
  const app = spawn(process.execPath, ["server.js"], { cwd: directory, env, stdio: "ignore" });
  while (!(await answers(port))) await pause(1);
  const tookMs = performance.now() - began;
  const exited = once(app, "exit");
  app.kill("SIGTERM");
  await exited;
  return tookMs;
}

async function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  get({ host: "127.0.0.1", port, agent: false }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  }).on("error", () => resolve(false));
  return promise;
}
