import { randomUUID } from "node:crypto";

const zero = 0x30;
const nine = 0x39;
const a = 0x61;
const f = 0x66;
const name = "X-Request-Id: ";
/** Of the id: so many digits are counted up. */
const countedDigits = 6;

const line = Buffer.alloc(name.length + 36 + 2);
export const requestIdLength: number = line.length;
const counter = line.subarray(-2 - countedDigits, -2);

/**
 * Writes the field with a UUID that no other request has, and returns its length. Randomness is not asked for each
 * time: a random beginning, counted up.
 */
export function writeRequestId(into: Buffer, at: number): number {
  if (!countUp())
    line.write(`${name}${randomUUID().slice(0, -countedDigits)}${"0".repeat(countedDigits)}\r\n`);
  return line.copy(into, at);
}

/** False when there is no number any more, or has been none. */
function countUp(): boolean {
  for (let at = countedDigits - 1; at >= 0; at -= 1) {
    const digit = counter[at];
    if (digit === undefined || digit === 0) return false;
    counter[at] = digit === f ? zero : digit === nine ? a : digit + 1;
    if (digit !== f) return true;
  }
  return false;
}
