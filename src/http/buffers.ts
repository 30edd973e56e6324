import type { Wire } from "./wire.ts";

/**
 * The memory that bytes are read into and composed in. A buffer that a socket was given to write belongs to that
 * write until the kernel has taken all of it: only what was taken at once may be used again right away.
 */

const readLength = 65_536;

/** What every connection reads into, one at a time: whoever is called with it uses up or copies what is in it. */
export const sharedRead: Buffer = Buffer.allocUnsafeSlow(readLength);

/**
 * For connections that carry a long body: read into, written from, read into again. With eight times the length a body
 * costs a quarter less; but a client that does not read its answer keeps one, so only the first of them have that much.
 */
const kinds = {
  large: { length: 8 * readLength, most: 32, mostSpare: 32, taken: 0, spare: [] as Buffer[] },
  usual: {
    length: readLength,
    most: Number.POSITIVE_INFINITY,
    mostSpare: 32,
    taken: 0,
    spare: [] as Buffer[],
  },
};

export function takeReadBuffer(): Buffer {
  const kind = kinds.large.taken < kinds.large.most ? kinds.large : kinds.usual;
  kind.taken += 1;
  return kind.spare.pop() ?? Buffer.allocUnsafeSlow(kind.length);
}

/** `isLent`: something may still be going to be written from it, so that it is nobody's until then. */
export function returnReadBuffer(buffer: Buffer, isLent: boolean): void {
  const kind = buffer.length === kinds.large.length ? kinds.large : kinds.usual;
  kind.taken -= 1;
  if (!isLent && kind.spare.length < kind.mostSpare) kind.spare.push(buffer);
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
