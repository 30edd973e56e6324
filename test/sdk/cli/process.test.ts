import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";

const program = join(import.meta.dirname, "endless-logs.ts");

/** A real process of the command line, whose server writes log lines without end. */
function start(...argv: string[]) {
  const child = spawn(process.execPath, [program, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  return { child, ended: once(child, "close"), errors: text(child.stderr) };
}

describe("the command line as a process", () => {
  it("ends quietly when its reader goes away (| head)", async () => {
    const { child, ended, errors } = start("logs", "shop", "-f");
    const [first] = await once(createInterface({ input: child.stdout }), "line");
    child.stdout.destroy();
    expect(await ended).toEqual([0, null]);
    expect(first).toBe("v1 web.1  line 1");
    expect(await errors).toBe("");
  });

  it("ends `logs -f` by Ctrl-C with 130, and says nothing", async () => {
    const { child, ended, errors } = start("logs", "shop", "-f");
    await once(createInterface({ input: child.stdout }), "line");
    child.kill("SIGINT");
    child.stdout.resume();
    expect(await ended).toEqual([130, null]);
    expect(await errors).toBe("");
  });
});
