import type { Socket } from "node:net";
import type { Principal } from "../app/principal.ts";
import type { MaestroError } from "../errors.ts";

/** What access over SSH needs of the rest of Maestro. */
export type AccessPorts = {
  /** Makes the app if it is new, and answers its incoming/. */
  prepareIncoming(app: string): Promise<string>;
  /** Somebody begins to send to it: it is not whole until he has ended well. */
  beginReceiving(app: string, by: string): Promise<void>;
  endReceiving(app: string): Promise<void>;
  /** Whether a deploy of the app is under way. */
  isDeploying(app: string): boolean;
  /** Resolves when what was under way when it was called is over. */
  untilIdle(app: string): Promise<void>;
  /** Makes a connection a session of whoever it is. */
  enter(socket: Socket, principal: Principal): { leave(reason: MaestroError): void };
  /** The Node that the gate runs on, where every user may execute it. */
  installNode(): Promise<string>;
};

/** A call of an operation, as far as access looks at it. */
export type WatchedCall = { name: string; input: unknown; principal: Principal; signal: AbortSignal };
