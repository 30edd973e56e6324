import { createHash } from "node:crypto";

/** The users that one Maestro gives to its apps: from and to are among them. */
export type UidBlock = { from: number; to: number };

/**
 * Above the ranges that Debian and systemd hand out (systemd's UIDS-GIDS: 1879048192 to 2147483647 is unused). Each home
 * has a block of its own, so that two Maestros on one machine keep their apps apart too.
 */
const first = 1_900_000_000;
const size = 10_000;
const blocks = 24_000;
/** For programs that are no app of anybody's. */
const reserved = 16;

/** The users of the apps of all Maestros on this machine. */
export const maestroUids: UidBlock = { from: first, to: first + blocks * size - 1 };

export function uidBlockOf(home: string): UidBlock {
  const hash = createHash("sha256").update(home).digest().readUInt32BE(0);
  return blockFrom(first + (hash % blocks) * size);
}

/** The block in which a user is that was given out before. */
export const uidBlockAround = (uid: number): UidBlock => blockFrom(uid - (uid % size));

const blockFrom = (from: number): UidBlock => ({ from, to: from + size - 1 });

export const firstAppUid = ({ from }: UidBlock): number => from + reserved;

/** The users of the programs that try out what apps are kept from, and of the one that they try it on. */
export const canaryUids = ({ from }: UidBlock) => ({ canary: from, neighbour: from + 1 });
