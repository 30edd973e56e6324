import { randomUUID } from "node:crypto";

const random = randomUUID();
const prefix = random.slice(0, 24);
let next = Number.parseInt(random.slice(24), 16);

/** A UUID that no other request has, without asking for randomness each time: a worker's own, counted up. */
export function nextRequestId(): string {
  next = next === 0xffff_ffff_ffff ? 0 : next + 1;
  return prefix + next.toString(16).padStart(12, "0");
}
