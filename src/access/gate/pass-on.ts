import { once } from "node:events";
import type { Socket } from "node:net";

/** Carries bytes between whoever is at the other end of SSH and a session with the controller, until one of them ends. */
export async function passOn(session: Socket): Promise<number> {
  process.stdin.on("error", () => session.end());
  process.stdout.on("error", () => session.destroy());
  process.stdin.pipe(session);
  session.pipe(process.stdout);
  await once(session, "close");
  process.stdin.destroy();
  return 0;
}
