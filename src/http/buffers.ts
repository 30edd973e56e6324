import type { Wire } from "./wire.ts";

/**
 * The memory that bytes are read into and composed in. A buffer that a socket was given to write belongs to that
 * write until the kernel has taken all of it: only what was taken at once may be used again right away.
 */

const readLength = 65_536;

/** What every connection reads into, one at a time: whoever is called with it uses up or copies what is in it. */
export const sharedRead: Buffer = Buffer.allocUnsafeSlow(readLength);

/** For connections that carry a long body: read into, written from, read into again. */
const spare: Buffer[] = [];
const mostSpare = 32;

export function takeReadBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(readLength);
}

/** Nothing may be going to be written from it any more. */
export function returnReadBuffer(buffer: Buffer): void {
  if (spare.length < mostSpare) spare.push(buffer);
}

const composeLength = 2 * readLength;
let composing = Buffer.allocUnsafeSlow(composeLength);

/** To compose one packet in, with room for a head and for what one read brings; then `writeComposed`. */
export function composeBuffer(): Buffer {
  return composing;
}

export function writeComposed(wire: Wire, length: number): void {
  wire.write(composing.subarray(0, length));
  if (wire.pending > 0) composing = Buffer.allocUnsafeSlow(composeLength);
}
