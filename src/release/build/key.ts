import { createHash } from "node:crypto";

/** Of another form than before, what was kept is of no use. */
const form = 1;

/** What a name for dependencies is made of: all that decides what is installed, this kind of machine included. */
export const keyOf = (...parts: readonly unknown[]): string =>
  createHash("sha256")
    .update(JSON.stringify([form, process.platform, process.arch, ...parts]))
    .digest("hex")
    .slice(0, 32);
