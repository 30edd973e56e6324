import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Log } from "../lib/log.ts";
import { isService } from "./exit-status.ts";

const run = promisify(execFile);

export type NotifyOptions = { env: NodeJS.ProcessEnv; log: Log };

/** systemd-notify waits up to 5 s until the service manager has taken the message. */
const limitMs = 10_000;

/** The service serves: what Type=notify waits for, at the start and after a reload. See sd_notify(3). */
export const notifyReady = (status: string, options: NotifyOptions): Promise<void> =>
  notify("READY", status, options);

/** It is about to replace itself; `notifyReady` has to follow. */
export const notifyReloading = (status: string, options: NotifyOptions): Promise<void> =>
  notify("RELOADING", status, options);

/** It is about to end. */
export const notifyStopping = (status: string, options: NotifyOptions): Promise<void> =>
  notify("STOPPING", status, options);

/**
 * Tells the service manager, if one asked for it by NOTIFY_SOCKET, how the service is; what goes wrong is logged,
 * and never thrown. Node has no datagram sockets of the unix family: systemd-notify(1) sends it, and, where it may
 * (as root), in the name of this process, so that NotifyAccess=main lets it pass. The main pid is not told: it
 * stays the one that systemd started. The variables are given as they are because --reloading and --stopping came
 * with systemd 253 only.
 */
async function notify(
  state: "READY" | "RELOADING" | "STOPPING",
  status: string,
  { env, log }: NotifyOptions,
): Promise<void> {
  if (!isService(env)) return;
  const oneLine = status.replace(/\s+/g, " ").trim();
  try {
    await run("systemd-notify", [`${state}=1`, `STATUS=${oneLine}`], { env, timeout: limitMs });
  } catch (error) {
    log.error({ state, error: (error as Error).message }, "service.notify.failed");
  }
}
