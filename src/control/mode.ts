import type { App } from "../app/app.ts";
import { type Mode, usualMessage } from "../app/mode.ts";
import type { ModeReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";

/** From here on an app's new requests are held, until `resume`; each for so long at most. Throws `APP_NOT_FOUND`. */
export function pause(controller: Controller, name: string, holdMs: number): Promise<ModeReport> {
  return change(controller, name, ({ mode }) => {
    refuseUnless("paused", name, mode);
    return { kind: "paused", since: mode?.since ?? now(), holdMs };
  });
}

/** What was held goes on. Nothing happens to an app that is not paused. */
export const resume = (controller: Controller, name: string) => end(controller, name, "paused");

/** From here on new requests, and those that are held, are answered with a page that says why. */
export function beginMaintenance(
  controller: Controller,
  name: string,
  message = usualMessage,
): Promise<ModeReport> {
  return change(controller, name, ({ mode }) => ({
    kind: "maintenance",
    since: mode?.kind === "maintenance" ? mode.since : now(),
    message,
  }));
}

export const endMaintenance = (controller: Controller, name: string) => end(controller, name, "maintenance");

function end(controller: Controller, name: string, kind: Mode["kind"]): Promise<ModeReport> {
  return change(controller, name, ({ mode }) => {
    refuseUnless(kind, name, mode);
    return null;
  });
}

/** Durable, and in force in every worker, when it resolves. It comes after a deploy that is under way. */
async function change(
  controller: Controller,
  name: string,
  next: (app: App) => Mode | null,
): Promise<ModeReport> {
  controller.registry.get(name);
  return controller.serializer.run(name, async () => {
    const before = controller.registry.get(name);
    const app = await controller.registry.save({ ...before, mode: next(before) });
    await controller.publish(app);
    controller.log.info({ app: name, mode: app.mode?.kind ?? "open" }, "app.mode");
    return { app: name, mode: app.mode };
  });
}

/** What was begun with one command is ended with its own. */
function refuseUnless(wanted: Mode["kind"], app: string, mode: Mode | null): void {
  if (mode === null || mode.kind === wanted) return;
  const [is, command] =
    mode.kind === "paused" ? ["paused", `resume ${app}`] : ["in maintenance", `maintenance off ${app}`];
  throw new MaestroError("BAD_INPUT", `${app} is ${is}; \`maestro ${command}\` ends that`, {
    app,
    mode: mode.kind,
  });
}

const now = () => new Date().toISOString();
