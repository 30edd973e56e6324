import { expect, test } from "vitest";
import { type InstanceEvent, type InstanceState, nextState } from "../../src/app/instance.ts";

const states: InstanceState[] = ["starting", "serving", "draining", "frozen", "stopping", "stopped"];
const events: InstanceEvent[] = [
  "ready",
  "failed",
  "replaced",
  "drained",
  "froze",
  "thawed",
  "expired",
  "exited",
];

test("an instance lives from starting to stopped", () => {
  const life: InstanceEvent[] = ["ready", "replaced", "froze", "expired", "exited"];
  const lived: InstanceState[] = ["starting"];
  for (const event of life) lived.push(nextState(lived.at(-1) ?? "stopped", event));
  expect(lived).toEqual(states);
});

test("one that is not kept frozen stops when it has drained", () => {
  expect(nextState("draining", "drained")).toBe("stopping");
});

test("one that was frozen has to become ready again", () => {
  expect(nextState("frozen", "thawed")).toBe("starting");
});

test("one that never gets ready is stopped", () => {
  expect(nextState("starting", "failed")).toBe("stopping");
});

test("its process can end at any time before it is stopped", () => {
  for (const state of states.slice(0, -1)) expect(nextState(state, "exited")).toBe("stopped");
});

test("everything else cannot happen, and says so", () => {
  const possible = new Set([
    "starting ready",
    "starting failed",
    "starting exited",
    "serving replaced",
    "serving exited",
    "draining drained",
    "draining froze",
    "draining exited",
    "frozen thawed",
    "frozen expired",
    "frozen exited",
    "stopping exited",
  ]);
  for (const state of states) {
    for (const event of events) {
      if (possible.has(`${state} ${event}`)) continue;
      expect(() => nextState(state, event)).toThrow(`an instance that is ${state} cannot be ${event}`);
    }
  }
});
