/**
 * Loaded before a controller (`node --import`): kills it with SIGKILL at the moment in which a deploy reaches the step
 * that KILL_AT names, "release:began" or "save:done".
 */
import { subscribe } from "node:diagnostics_channel";
import type { TracedStep } from "../../src/control/trace.ts";

const wanted = process.env["KILL_AT"];

subscribe("maestro:step", (message) => {
  const { step, state } = message as TracedStep;
  if (`${step}:${state}` === wanted) process.kill(process.pid, "SIGKILL");
});
