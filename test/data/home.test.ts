import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { Backend } from "../../src/data/endpoint/backend.ts";
import { Events } from "../../src/data/endpoint/events.ts";
import { Health } from "../../src/data/endpoint/health.ts";
import { Home } from "../../src/data/endpoint/home.ts";
import { Deadlines } from "../../src/http/deadlines.ts";
import { socketWires } from "../../src/http/wires.ts";
import { createLog } from "../../src/lib/log.ts";
import { freePort } from "../support/free-port.ts";

it("does not gather memory with each turn of a database with a second home, while nothing changes", async () => {
  const state = await mkdtemp(join(tmpdir(), "data-test-"));
  const calm = { failures: 3, successes: 3, calmMs: 1000, doubtMs: 1000, patienceMs: 1000 };
  const health = new Health({ probe: async () => null, ...calm });
  const nowhere = `http://a:b@127.0.0.1:${await freePort()}`;
  const stopped = { from: "local", state: "stopped", behind: null, through: null, error: null } as const;
  const report = vi.fn(async () => [stopped]);
  const replicator = { ensure: async () => {}, stop: async () => {}, bringHome: async () => {}, report };
  const home = await Home.open(
    { v: 1, app: "shop", password: "a-password-of-length", remote: `${nowhere}/shop` },
    {
      local: { backend: new Backend({ url: nowhere }), health, replicator },
      transport: { wires: socketWires, deadlines: new Deadlines() },
      state,
      events: await Events.open(join(state, "events.json")),
      log: createLog(),
    },
  );
  await health.known();
  const waits = vi.spyOn(health, "changed");
  for (let turn = 0; turn < 10; turn += 1) {
    await home.note();
    await pause(5);
  }
  expect(report).toHaveBeenCalledTimes(10);
  expect(waits.mock.calls.length).toBeLessThan(5);
  home.end();
  health.end();
  await rm(state, { recursive: true, force: true });
});
