/** What a stranger can make the door hold. */
export type Limits = {
  sessions: number;
  /** Bytes of one line; of those who have not said yet who they are. */
  lineBytes: number;
  strangerLineBytes: number;
  /** How deep arrays and objects nest in a line. */
  depth: number;
  /** Calls of one session that have not been answered yet. */
  calls: number;
  /** Functions in one message; a call holds them until it is answered. */
  callbacks: number;
  /** Bytes that wait for a slow reader. One answer may be larger; what comes on top of it ends the session. */
  queuedBytes: number;
  /** Until a session has made its first call, ms. */
  firstCallMs: number;
  /** How long a session that was ended may take to read its last line, ms. */
  lingerMs: number;
};

export const defaultLimits: Limits = {
  sessions: 256,
  lineBytes: 1024 * 1024,
  strangerLineBytes: 16 * 1024,
  depth: 32,
  calls: 256,
  callbacks: 100,
  queuedBytes: 4 * 1024 * 1024,
  firstCallMs: 10_000,
  lingerMs: 1000,
};
