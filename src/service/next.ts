import type { InstallReport } from "../app/installation.ts";
import type { Place } from "./place.ts";
import type { RunningController } from "./running.ts";

type Advice = { note: string | null; next: InstallReport["next"] };
type Situation = {
  place: Place;
  /** Whether it was to be started. */
  now: boolean;
  /** Which of the units is another than before. */
  changed: { service: boolean; socket: boolean };
  /** Who served the home before. */
  controller: RunningController | null;
  home: string;
};

/** What the person who installs has to know yet, and what to type next. */
export function adviseNext({ place, now, changed, controller, home }: Situation): Advice {
  const systemctl = place.systemctl.join(" ");
  if (!place.running) return withoutSystemd(systemctl);
  if (controller === null)
    return { note: null, next: [now ? look(systemctl) : start(systemctl), log(place), ...lingering(place)] };
  const serves = `Maestro already serves ${home}, as process ${controller.pid}`;
  if (!controller.isService) {
    return {
      note: `${serves}, which systemd did not start`,
      next: [move(controller.pid, systemctl), log(place)],
    };
  }
  const apply = changed.socket ? [replaceSocket(systemctl)] : changed.service ? [restart(systemctl)] : [];
  return { note: now ? `${serves}: it is not started again` : null, next: [...apply, log(place)] };
}

function withoutSystemd(systemctl: string): Advice {
  return {
    note: "systemd does not run here: nothing is enabled or started. Where it does, these commands have yet to be run",
    next: [
      { command: `${systemctl} daemon-reload && ${systemctl} enable maestro`, does: "start it at boot" },
      start(systemctl),
    ],
  };
}

const look = (systemctl: string) => ({ command: `${systemctl} status maestro`, does: "see how it is" });
const start = (systemctl: string) => ({ command: `${systemctl} start maestro`, does: "start it" });
const log = ({ scope }: Place) => ({
  command: `journalctl ${scope === "user" ? "--user " : ""}-u maestro -f`,
  does: "follow its log",
});
const move = (pid: number, systemctl: string) => ({
  command: `kill ${pid} && ${systemctl} start maestro`,
  does: "move it under systemd: its proxy workers and apps go on, and the service takes them over",
});
const restart = (systemctl: string) => ({
  command: `${systemctl} restart maestro`,
  does: "put the new settings in force; proxy workers and apps go on",
});
/** A socket unit takes new addresses only as it is started, which systemd refuses while its service runs. */
const replaceSocket = (systemctl: string) => ({
  command: `${systemctl} stop maestro.socket maestro.service && ${systemctl} start maestro`,
  does: "put the new addresses and settings in force; proxy workers and apps go on",
});

/** A person's own systemd ends when they have logged out, unless loginctl(1) is told otherwise. */
function lingering({ scope }: Place): InstallReport["next"] {
  return scope === "user"
    ? [{ command: "loginctl enable-linger", does: "let it run while you are logged out" }]
    : [];
}
