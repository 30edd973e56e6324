/** How long a client's connection may stay in each of its states, ms. */
export const clientTimes = {
  /** For a request's head, from its first byte. Bodies may take as long as they need. */
  headMs: 20_000,
  /** Without a request. */
  idleMs: 75_000,
  /** Without a request while the worker leaves. A busy client's next request is still answered. */
  leavingMs: 1000,
  /** Closing with bytes unread resets the connection, which can take the answer with it: they are read for so long. */
  lingerMs: 1000,
  /**
   * A client that has ended its side may wait for its answer, or have left: nothing tells until something is written
   * to it. It is given so long without a byte.
   */
  halfClosedMs: 2000,
} as const;
