import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { stepProgress } from "../../../sdk/cli/progress.ts";

function screen(isTTY: boolean, env = {}, columns = 80) {
  const written: string[] = [];
  const stderr = { isTTY, columns, write: (text: string) => void written.push(text) };
  return { written, progress: stepProgress({ stderr, env }) };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("progress", () => {
  it("is one plain line a step where there is no terminal", () => {
    const { written, progress } = screen(false);
    progress.show({ step: "start", state: "began" });
    progress.show({ step: "start", state: "done", detail: "web.1", tookMs: 30 });
    progress.show({ step: "ready", state: "began" });
    progress.end("failed");
    expect(written).toEqual(["started web.1 (30 ms)\n"]);
  });

  it("is a line that is refreshed in place on a terminal, and stays when the step is done", () => {
    const { written, progress } = screen(true, { NO_COLOR: "1" });
    progress.show({ step: "start", state: "began" });
    vi.advanceTimersByTime(80);
    progress.show({ step: "start", state: "done", tookMs: 80 });
    expect(written).toEqual([
      "\r\u001b[2K⠙ starting",
      "\r\u001b[2K⠹ starting",
      "\r\u001b[2K✓ started (80 ms)\n",
    ]);
    progress.end("done");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves the step that failed on the screen", () => {
    const { written, progress } = screen(true, { NO_COLOR: "1" });
    progress.show({ step: "ready", state: "began" });
    progress.end("failed");
    expect(written.at(-1)).toBe("\r\u001b[2K✗ waiting until it is ready\n");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("never is wider than the terminal, since a line that wraps cannot be refreshed", () => {
    const { written, progress } = screen(true, {}, 20);
    progress.show({ step: "drain", state: "began", detail: "x".repeat(100) });
    expect(written[0]?.replace("\r\u001b[2K", "").length).toBeLessThan(20);
    progress.end("done");
  });
});
