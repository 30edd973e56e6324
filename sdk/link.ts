import type { MaestroError } from "../src/errors.ts";

/** A connection to a server as bytes, whatever carries them. */
export type Link = {
  write(text: string): void;
  onData(listener: (chunk: Buffer) => void): void;
  /** Lets what was written go out, and ends it. */
  end(): void;
  /** Resolves when it has ended, whoever ended it, with the reason as the other side or the system gives it. */
  closed: Promise<MaestroError>;
};
