import { randomUUID } from "node:crypto";

const digits = Array.from({ length: 4096 }, (_, number) => number.toString(16).padStart(3, "0"));

let prefix = "";
let next = 0;

/** A UUID that no other request has, without asking for randomness each time: a random beginning, counted up. */
export function nextRequestId(): string {
  if (next === 0) prefix = randomUUID().slice(0, 30);
  const id = `${prefix}${digits[next >> 12]}${digits[next & 4095]}`;
  next = (next + 1) & 0xff_ffff;
  return id;
}
