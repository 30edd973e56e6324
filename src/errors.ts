/**
 * The catalogue of what can go wrong, by code. Codes are part of the contract: they are the same on every door.
 * `exitCode` is the command line's.
 */
export const catalogue = {
  BAD_INPUT: { exitCode: 2 },
  APP_NOT_FOUND: { exitCode: 1 },
  NOTHING_TO_RUN: { exitCode: 1 },
  APP_NOT_READY: { exitCode: 1 },
  APP_EXITED: { exitCode: 1 },
  BUILD_FAILED: { exitCode: 1 },
  HOSTNAME_TAKEN: { exitCode: 1 },
  BUSY: { exitCode: 1 },
  ISOLATION_TOO_WEAK: { exitCode: 1 },
  UNAUTHORIZED: { exitCode: 1 },
  RELOAD_FAILED: { exitCode: 1 },
  INTERNAL: { exitCode: 1 },
} as const satisfies Record<string, { exitCode: number }>;

export type ErrorCode = keyof typeof catalogue;
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** The form of an error on every door. */
export type WireError = { code: ErrorCode; message: string; details: ErrorDetails };

/** An expected failure. The message says what happened, to what, and what to do about it. */
export class MaestroError extends Error {
  override readonly name = "MaestroError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** What a door shows of any thrown value. What was not expected shows its message and nothing of the stack. */
export function toWire(error: unknown): WireError {
  if (error instanceof MaestroError) {
    return { code: error.code, message: error.message, details: error.details };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "INTERNAL", message: `Maestro failed: ${message}`, details: {} };
}

/** True for a Node system error with one of these codes (`errno(3)` names such as "ENOENT"). */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  if (!(error instanceof Error)) return false;
  const { code, errno } = error as NodeJS.ErrnoException;
  if (code === undefined || errno === undefined) return false;
  return codes.length === 0 || codes.includes(code);
}
