import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { Accounts } from "../../src/data/accounts.ts";
import { Backend } from "../../src/data/endpoint/backend.ts";
import { Events } from "../../src/data/endpoint/events.ts";
import { Health } from "../../src/data/endpoint/health.ts";
import { Home } from "../../src/data/endpoint/home.ts";
import { Homes } from "../../src/data/endpoint/homes.ts";
import { Deadlines } from "../../src/http/deadlines.ts";
import { socketWires } from "../../src/http/wires.ts";
import { createLog } from "../../src/lib/log.ts";

it("accounts that are read by several at once are read in turn: each database is opened once, and none is lost", async () => {
  const state = await mkdtemp(join(tmpdir(), "data-test-"));
  const calm = { failures: 3, successes: 3, calmMs: 1000, doubtMs: 1000, patienceMs: 1000 };
  const health = new Health({ probe: async () => null, ...calm });
  const replicator = { ensure: vi.fn(), stop: vi.fn(), bringHome: vi.fn(), report: async () => [] };
  const accounts = new Accounts(join(state, "apps"));
  const homes = new Homes({
    accounts,
    local: { backend: new Backend({ url: "http://a:b@127.0.0.1:1" }), health, replicator },
    transport: { wires: socketWires, deadlines: new Deadlines() },
    state,
    events: await Events.open(join(state, "events.json")),
    log: createLog(),
  });
  const account = { v: 1, app: "shop", password: "a-password-of-length", remote: null } as const;
  // Who asks first reads what there was before, and has it last.
  vi.spyOn(accounts, "all")
    .mockImplementationOnce(() => pause(50, []))
    .mockImplementation(async () => [account]);
  const open = vi.spyOn(Home, "open");
  await Promise.all([homes.reload(), homes.reload(), homes.reload()]);
  expect([homes.get("shop")?.account.app, open.mock.calls.length]).toEqual(["shop", 1]);
  homes.end();
  health.end();
  await rm(state, { recursive: true, force: true });
});
