/**
 * The few instructions of classic BPF that a seccomp filter needs. Jumps count the instructions that are skipped.
 * Source: seccomp(2), linux/filter.h, linux/bpf_common.h, Documentation/networking/filter.rst.
 */
export type Instruction = Readonly<{ code: number; jumpTrue: number; jumpFalse: number; value: number }>;

const codes = { load: 0x20, and: 0x54, equal: 0x15, atLeast: 0x35, anyBit: 0x45, answer: 0x06 };

const plain = (code: number, value: number): Instruction => ({ code, jumpTrue: 0, jumpFalse: 0, value });

/** Loads 32 bits of struct seccomp_data, at an offset in bytes. */
export const load = (offset: number) => plain(codes.load, offset);
export const and = (bits: number) => plain(codes.and, bits);
export const answer = (value: number) => plain(codes.answer, value);

/** Does `then` when what was loaded equals the value; else goes on behind it. */
export function whenEqual(value: number, then: readonly Instruction[]): Instruction[] {
  return [branch(codes.equal, value, 0, then.length), ...then];
}

export function whenAtLeast(value: number, then: readonly Instruction[]): Instruction[] {
  return [branch(codes.atLeast, value, 0, then.length), ...then];
}

/** Does `then` when what was loaded has any of the bits. */
export function whenAnyBit(bits: number, then: readonly Instruction[]): Instruction[] {
  return [branch(codes.anyBit, bits, 0, then.length), ...then];
}

/** Does `otherwise` when what was loaded equals none of the values; else goes on behind it. */
export function unlessOneOf(values: readonly number[], otherwise: readonly Instruction[]): Instruction[] {
  const matches = values.map((value, index) =>
    branch(codes.equal, value, values.length - 1 - index + otherwise.length, 0),
  );
  return [...matches, ...otherwise];
}

function branch(code: number, value: number, jumpTrue: number, jumpFalse: number): Instruction {
  if (jumpTrue > 255 || jumpFalse > 255)
    throw new RangeError("BPF cannot jump over more than 255 instructions");
  return { code, jumpTrue, jumpFalse, value };
}

/** struct sock_filter, one after the other, as bubblewrap reads them. Both architectures are little-endian. */
export function assemble(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, jumpTrue, jumpFalse, value }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jumpTrue, index * 8 + 2);
    bytes.writeUInt8(jumpFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  }
  return bytes;
}
