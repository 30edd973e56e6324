import { z } from "zod";
import { AppName, Hostname } from "../app/app.ts";
import { Mount } from "../app/mount.ts";
import { callerOf, describePrincipal } from "../app/principal.ts";
import { DeployReport } from "../app/reports.ts";
import { moveToHostname, prepareIncoming, register } from "../control/register.ts";
import { restart } from "../control/restart.ts";
import { operation, type Subject } from "./operation.ts";

export const incomingOperation = operation({
  name: "incoming",
  summary: "The directory into which an app's code is sent; makes the app if it is new",
  access: "app",
  input: z.object({
    app: AppName,
    /** While somebody else deploys the app over SSH: wait for him instead of failing with `BUSY`. */
    wait: z.boolean().default(false),
    /** From now on it is not whole, until a restart says that all was sent. */
    sending: z.boolean().default(false),
  }),
  output: z.object({ path: z.string() }),
  handle: async ({ controller }, { app, sending }, { principal }) => {
    const path = await prepareIncoming(controller, app);
    if (sending) await controller.releases.beginReceiving(app, describePrincipal(principal));
    return { path };
  },
});

export const restartOperation = operation({
  name: "restart",
  summary: "Puts what lies in the app's incoming/ behind its hostnames, without dropping a request",
  access: "app",
  input: z.object({
    app: AppName,
    hostname: Mount.optional(),
    hostnames: z.array(Mount).default([]),
    wait: z.boolean().default(false),
    /** All that was being sent is there: the caller has sent it. */
    sent: z.boolean().default(false),
    /** The commit that was sent, for the record. */
    commit: z
      .string()
      .regex(/^[0-9a-f]{7,64}$/, "a commit is 7 to 64 characters of 0-9 and a-f")
      .optional(),
  }),
  output: DeployReport,
  handle: async (
    { controller },
    { app, hostname, hostnames, wait, sent, commit },
    { principal, onProgress },
  ) => {
    if (sent) await controller.releases.endReceiving(app);
    return restart(controller, {
      app,
      hostnames: hostname === undefined ? hostnames : [hostname, ...hostnames],
      wait,
      ...callerOf(principal),
      commit,
      onProgress,
    });
  },
});

/** App name → hostname, as the clients of 2012 know it: apps that were given a hostname, each with its first. */
const Applications = z.record(z.string(), z.string());

function applications({ controller }: Subject): z.infer<typeof Applications> {
  return Object.fromEntries(
    controller.registry
      .all()
      .flatMap(({ name, hostnames: [first] }) => (first === undefined ? [] : [[name, first]])),
  );
}

export const registerAppOperation = operation({
  name: "register_app",
  summary: "Moves an app to a hostname (2012)",
  access: "admin",
  input: z.object({ name: AppName, hostname: Hostname }),
  output: Applications,
  handle: async (subject, { name, hostname }) => {
    await register(subject.controller, name);
    await moveToHostname(subject.controller, name, hostname);
    return applications(subject);
  },
});

export const restartAppOperation = operation({
  name: "restart_app",
  summary: "Restarts an app, registered or not (2012)",
  access: "admin",
  input: z.object({ name: AppName }),
  output: Applications,
  handle: async (subject, { name }, { principal }) => {
    await restart(subject.controller, {
      app: name,
      hostnames: [],
      wait: false,
      ...callerOf(principal),
    });
    return applications(subject);
  },
});
