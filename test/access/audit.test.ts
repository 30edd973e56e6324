import { appendFile, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Audit } from "../../src/access/audit.ts";
import { silentLog } from "../../src/lib/log.ts";

async function home(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-audit-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

describe("the audit log", () => {
  it("keeps who did what in the order in which it came, over a restart and a line that was cut off", async () => {
    const directory = await home();
    const audit = new Audit(directory, silentLog);
    for (const did of ["one", "two"]) void audit.note({ by: "key alice", did, app: "blog", outcome: "done" });
    await appendFile(join(directory, "state/audit/audit.jsonl"), '{"v":1,"at":"20').catch(() => {});
    await audit.last(1);
    await appendFile(join(directory, "state/audit/audit.jsonl"), '{"v":1,"at":"20\n');
    const next = new Audit(directory, silentLog);
    await next.note({ by: "key bob", did: "three", app: "shop", outcome: "refused", why: "not his" });
    expect((await next.last(10)).map(({ did }) => did)).toEqual(["one", "two", "three"]);
    expect((await next.last(2)).map(({ did }) => did)).toEqual(["two", "three"]);
    expect((await next.last(10, "shop")).map(({ by }) => by)).toEqual(["key bob"]);
    expect((await stat(join(directory, "state/audit/audit.jsonl"))).mode & 0o077).toBe(0);
  });

  it("is bounded: the oldest goes when there is much", async () => {
    const directory = await home();
    const audit = new Audit(directory, silentLog);
    const why = "x".repeat(1000);
    for (let count = 0; count < 20_000; count++)
      void audit.note({ by: "key alice", did: `d${count}`, outcome: "failed", why });
    expect((await audit.last(1)).map(({ did }) => did)).toEqual(["d19999"]);
    const files = await readdir(join(directory, "state/audit"));
    expect(files.sort()).toEqual(["audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl", "audit.jsonl"]);
    for (const name of files) {
      expect((await readFile(join(directory, "state/audit", name))).length).toBeLessThanOrEqual(
        4 * 1024 * 1024,
      );
    }
    const all = await audit.last(1_000_000);
    expect(all.length).toBeGreaterThan(10_000);
  });
});
