import { z } from "zod";
import { catalogue, type ErrorCode, MaestroError } from "../src/errors.ts";

const Wire = z.object({
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
});

/** An error as the server sent it. A code of a newer server stays in the details. */
export function errorFrom(value: unknown): MaestroError {
  const error = Wire.safeParse(value).data;
  if (error === undefined) return new MaestroError("INTERNAL", `Maestro failed: ${JSON.stringify(value)}`);
  const { code, message, details } = error;
  return isKnown(code)
    ? new MaestroError(code, message, details)
    : new MaestroError("INTERNAL", message, { ...details, code });
}

const isKnown = (code: string): code is ErrorCode => Object.hasOwn(catalogue, code);
