import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Log } from "../../src/lib/log.ts";
import { endedForGood, exitStatusOfStop } from "../../src/service/exit-status.ts";
import { notifyReady, notifyReloading, notifyStopping } from "../../src/service/notify.ts";
import { missing, nextMessage, startManager, temporaryDirectory } from "../support/service.ts";

class ErrorLog implements Log {
  readonly errors: object[] = [];
  debug() {}
  info() {}
  warn() {}
  error(facts: object) {
    this.errors.push(facts);
  }
}

describe("the service manager is told", () => {
  it.each([
    ["READY=1", notifyReady],
    ["RELOADING=1", notifyReloading],
    ["STOPPING=1", notifyStopping],
  ])("%s, and how the service is", async (state, notify) => {
    const { path, messages } = await startManager();
    const log = new ErrorLog();
    const env = { PATH: process.env["PATH"], NOTIFY_SOCKET: path };
    const [sent] = await Promise.all([nextMessage(messages), notify("serves\n[::]:80", { env, log })]);
    if (JSON.stringify(log.errors).includes("ENOENT")) throw missing("systemd-notify");
    expect(sent).toEqual([state, "STATUS=serves [::]:80"]);
    expect(log.errors).toEqual([]);
  });

  it("nothing where none asked for it", async () => {
    const log = new ErrorLog();
    await notifyReady("serves", { env: { PATH: "/nowhere" }, log });
    expect(log.errors).toEqual([]);
  });

  it("nothing where it is gone, which is logged and not thrown", async () => {
    const log = new ErrorLog();
    const env = { PATH: process.env["PATH"], NOTIFY_SOCKET: join(await temporaryDirectory(), "gone") };
    await notifyReady("serves", { env, log });
    expect(log.errors).toEqual([
      { state: "READY", error: expect.stringContaining("systemd-notify READY=1") },
    ]);
  });
});

describe("an end of everything", () => {
  it("has an exit status of its own under a service manager, and is plain success elsewhere", () => {
    expect(exitStatusOfStop({ NOTIFY_SOCKET: "/run/systemd/notify" })).toBe(endedForGood);
    expect(exitStatusOfStop({})).toBe(0);
  });
});
