import type { AppUser } from "../app/app.ts";
import type { Address, RunningInstance } from "../app/instance.ts";
import { familyOf } from "./family.ts";
import { type Listener, listenersAt, listListeners, socketsOf } from "./listeners.ts";

type Owner = { instance: RunningInstance; user: AppUser | null };

/**
 * Whether who listens on an address is the instance, and not a stranger who was quicker to take the port. Where the
 * app has a user of its own, the socket's user answers; else the processes of the instance that hold it.
 */
export function ownsListener(owner: Owner, address: Address): boolean {
  const found = listenersAt(address);
  const owned = ownershipOf(owner);
  return found.length > 0 && found.every(owned);
}

/** The ports on which an instance listens, in ascending order. */
export function portsOf(owner: Owner): number[] {
  const ports = listListeners()
    .filter(ownershipOf({ ...owner, user: null })) // the user's other instances are not this one
    .map(({ port }) => port);
  return [...new Set(ports)].sort((a, b) => a - b);
}

function ownershipOf({ instance, user }: Owner): (listener: Listener) => boolean {
  if (user !== null && process.getuid?.() === 0) return ({ uid }) => uid === user.uid;
  const sockets = new Set(familyOf(instance).flatMap(({ pid }) => socketsOf(pid)));
  return ({ inode }) => sockets.has(inode);
}
