import { createHash, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import type { Principal } from "../app/principal.ts";
import { MaestroError } from "../errors.ts";
import { isLoopback, uidOfPeer } from "./peer-uid.ts";

/** What a connection tells of its caller. `stranger`: nothing yet, a token will; until then nobody. */
export type Caller =
  | { kind: "known"; principal: Principal }
  | { kind: "stranger" }
  | { kind: "refused"; error: MaestroError };

export type CallerRules = {
  /** The token that every TCP session has to show, if there is one. */
  token?: string | undefined;
  /** Whether this is the uid that an app runs as. */
  isAppUser(uid: number): boolean;
};

/** How a connection came in; by a door that knows already who it is, that. */
export type Via = "unix" | "tcp" | Principal;

/** Settles once for a session who is calling. */
export async function recognize(socket: Socket, via: Via, rules: CallerRules): Promise<Caller> {
  if (typeof via === "object") return { kind: "known", principal: via };
  if (via === "unix") return { kind: "known", principal: { kind: "admin", via: "unix" } };
  const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = socket;
  const local = isLoopback(remoteAddress);
  const uid = local ? await uidOfPeer({ remoteAddress, remotePort, localAddress, localPort }) : null;
  if (uid !== null && rules.isAppUser(uid)) {
    return refused("an app may not call Maestro; call it as another user", { uid });
  }
  if (rules.token !== undefined) return { kind: "stranger" };
  if (!local) return refused("calls from other machines need a token: `maestro serve --rpc-token`");
  if (uid === null)
    return refused("the user of this connection cannot be told; keep it open until the answer comes");
  return { kind: "known", principal: { kind: "admin", via: "loopback" } };
}

function refused(message: string, details = {}): Caller {
  return { kind: "refused", error: new MaestroError("UNAUTHORIZED", message, details) };
}

/** Takes the same time wherever the two differ, and however long they are. */
export function isToken(expected: string, given: unknown): boolean {
  return typeof given === "string" && timingSafeEqual(digest(expected), digest(given));
}

const digest = (text: string) => createHash("sha256").update(text).digest();
