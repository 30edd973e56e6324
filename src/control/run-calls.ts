import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";
import type { OneOff } from "./one-off.ts";

/** Bytes of input of one program that may wait for it to read. */
const mostInputBytes = 512 * 1024;

/** Throws `BAD_INPUT` when this session has no such program, or not any more. */
export function findRun(
  controller: Controller,
  { app, run }: { app: string; run: string },
  session: object,
): OneOff {
  const { runs } = controller.runtime(controller.registry.get(app).name);
  const found = [...runs].find((oneOff) => oneOff.run === run && oneOff.session === session);
  if (found) return found;
  throw new MaestroError("BAD_INPUT", `no such program of ${app} runs in this session; it may have ended`, {
    app,
  });
}

/**
 * Resolves when the program, or the pipe to it, has taken the bytes; with false when nobody will ever read them. Throws
 * `BUSY` for a caller who does not wait for that.
 */
export async function giveInput(oneOff: OneOff, bytes: Uint8Array, isLast: boolean): Promise<boolean> {
  if (oneOff.inputBytes + bytes.length > mostInputBytes) {
    const message =
      "too much input waits for this program to read it; send more when the calls before are answered";
    throw new MaestroError("BUSY", message, { waiting: oneOff.inputBytes });
  }
  oneOff.inputBytes += bytes.length;
  try {
    const taken = bytes.length === 0 || ((await oneOff.program?.write(bytes)) ?? false);
    if (isLast) oneOff.program?.endInput();
    return taken;
  } finally {
    oneOff.inputBytes -= bytes.length;
  }
}
