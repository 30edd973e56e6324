import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Start } from "../../src/app/release.ts";
import { untilReady } from "../../src/apprunner/ready.ts";
import { fixtures, Place, question } from "../support/apprunner.ts";
import { shimNameOf } from "../support/chaos-processes.ts";
import { footprintOf } from "../support/memory.ts";

const starts: [string, Start, fixture: string][] = [
  ["a program for Node", { kind: "node", file: "answers.js" }, "processes"],
  ["a start line", { kind: "line", line: "node answers.js" }, "processes"],
  ["static files", { kind: "static" }, "static-site"],
];

describe("what stays resident beside an instance", () => {
  for (const [what, start, fixture] of starts) {
    it(`takes at most 5 MB, and 1 MB of its own, for ${what}`, async () => {
      await using place = await Place.create();
      const spec = await place.spec({ start, directory: join(fixtures, fixture) });
      const { pid, ...instance } = await place.launch(spec);
      await untilReady(question(spec, { pid, ...instance }));
      const { beside, programs, names } = footprintOf({ pid, runDirectory: spec.runDirectory });
      // Who is measured: the shim at least, and somebody else is the app.
      expect(names).toContain(shimNameOf("hello"));
      expect(programs.privateKiB).toBeGreaterThan(beside.privateKiB);
      expect(beside.residentKiB).toBeGreaterThan(0);
      expect(beside.residentKiB).toBeLessThanOrEqual(5 * 1024);
      expect(beside.privateKiB).toBeLessThanOrEqual(1024);
    });
  }
});
