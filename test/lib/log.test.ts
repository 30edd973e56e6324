import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

/** What a program that logs prints: a logger writes to the descriptor, so it takes a process of its own to see. */
function linesOf(level: string): Record<string, unknown>[] {
  const program = `
    const { createLog } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/lib/log.ts"))});
    const log = createLog(${JSON.stringify(level)});
    log.debug({ a: 1 }, "a.debugged");
    log.info({ app: "demo", port: 1 }, "app.started");
    log.error({}, "app.failed");`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  return output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("a line is JSON with a numeric level, an ISO time, the facts and the event, and nothing else", () => {
  expect(linesOf("info")).toEqual([
    {
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      app: "demo",
      port: 1,
      msg: "app.started",
    },
    { level: 50, time: expect.any(String), msg: "app.failed" },
  ]);
});

test("lines below the level are left out", () => {
  expect(linesOf("debug").map(({ msg }) => msg)).toEqual(["a.debugged", "app.started", "app.failed"]);
  expect(linesOf("error").map(({ msg }) => msg)).toEqual(["app.failed"]);
});
