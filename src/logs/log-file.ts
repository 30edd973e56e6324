import type { Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { isSystemError } from "../errors.ts";
import { blockBytes, isHole, type Part, partsOf, wholeBlocks } from "./parts.ts";

/** Bytes of a log, and where in it they begin. */
export type Piece = { offset: number; bytes: Buffer };

/**
 * A log as it was written, whichever part of it lies where: an offset means the same byte for ever. What was cut off
 * from its beginning left a hole there, which reads as NULs; its bytes are in the parts beside it.
 */
export class LogFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** Null when there is no such log. */
  static async open(path: string): Promise<LogFile | null> {
    const file = await openIfThere(path);
    return file && new LogFile(path, file);
  }

  stat(): Promise<Stats> {
    return this.#file.stat();
  }

  /**
   * What there is of `length` bytes from an offset on, in pieces between which something is gone; `end` is how far it
   * was read: the offset itself at the end of the log.
   */
  async read(offset: number, length: number): Promise<{ pieces: Piece[]; end: number }> {
    const { bytes, from } = await this.#readBlocks(offset, offset + length);
    const range = { from: offset, to: Math.min(offset + length, Math.max(offset, from + bytes.length)) };
    const whole = { offset: from, bytes };
    if (!bytes.includes(0)) return { pieces: within([whole], range), end: range.to };
    // After the bytes were read: a part is in its place before its bytes become a hole.
    for (const part of await partsOf(this.#path)) await fillFrom(part, whole);
    return { pieces: within(withoutHoles(whole), range), end: range.to };
  }

  /** Whole blocks, since only a whole one can be a hole. */
  async #readBlocks(offset: number, end: number): Promise<{ bytes: Buffer; from: number }> {
    const from = wholeBlocks(offset);
    const block = Buffer.alloc(wholeBlocks(end + blockBytes - 1) - from);
    const { bytesRead } = await this.#file.read(block, 0, block.length, from);
    return { bytes: block.subarray(0, bytesRead), from };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** Puts the bytes of a part where there is a hole. Elsewhere the log itself is right: its app may have begun it anew. */
async function fillFrom(part: Part, piece: Piece): Promise<void> {
  const from = Math.max(part.start, piece.offset);
  const to = Math.min(part.end, piece.offset + piece.bytes.length);
  if (from >= to) return;
  const file = await openIfThere(part.path);
  if (file === null) return;
  await using source = file;
  const { bytesRead, buffer } = await source.read(Buffer.alloc(to - from), 0, to - from, from - part.start);
  for (const [start, end] of blocks(from, from + bytesRead)) {
    const place = piece.bytes.subarray(start - piece.offset, end - piece.offset);
    if (isHole(place)) buffer.copy(place, 0, start - from, end - from);
  }
}

/** Neighbouring blocks that are there, each run of them as one piece. */
function withoutHoles({ offset, bytes }: Piece): Piece[] {
  const pieces: Piece[] = [];
  let begin: number | null = null;
  const keep = (until: number): void => {
    if (begin !== null) pieces.push({ offset: begin, bytes: bytes.subarray(begin - offset, until - offset) });
    begin = null;
  };
  for (const [start, end] of blocks(offset, offset + bytes.length)) {
    if (end - start === blockBytes && isHole(bytes.subarray(start - offset, end - offset))) keep(start);
    else begin ??= start;
  }
  keep(offset + bytes.length);
  return pieces;
}

function within(pieces: readonly Piece[], { from, to }: { from: number; to: number }): Piece[] {
  return pieces
    .map(({ offset, bytes }) => ({
      offset: Math.max(offset, from),
      bytes: bytes.subarray(Math.max(0, from - offset), Math.max(0, to - offset)),
    }))
    .filter(({ bytes }) => bytes.length > 0);
}

/** The blocks of a range; the first and the last may be cut. */
function* blocks(from: number, to: number): Generator<readonly [start: number, end: number]> {
  for (let start = from; start < to; ) {
    const end = Math.min(to, wholeBlocks(start) + blockBytes);
    yield [start, end];
    start = end;
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return null;
    throw error;
  }
}
