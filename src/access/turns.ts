import { lchown, lstat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { AuditEntry } from "../app/key.ts";
import { describePrincipal, type Principal } from "../app/principal.ts";
import { isSystemError, MaestroError, toWire } from "../errors.ts";
import type { Audit } from "./audit.ts";
import { type LeaseRequest, Leases, type Sender } from "./leases.ts";
import { giveTree } from "./ownership.ts";
import type { AccessPorts, WatchedCall } from "./ports.ts";
import type { SshUser } from "./ssh-user.ts";

/** What a call has to say of itself for its turn. */
const Input = z.object({
  app: z.string().optional().catch(undefined),
  name: z.string().optional().catch(undefined),
  wait: z.boolean().optional().catch(undefined),
});

/** What only tells. An administrator's use of it is not written down. */
const telling = new Set(
  "apps ps status logs domains releases builds config doctor keys audit data_status".split(" "),
);
/**
 * Never written down, since it would drown the rest: parts of a program that was begun by `run`, which is, where every key
 * that is pressed would be a line; and the counts, for which `top` asks each second.
 */
const incessant = new Set(["run_input", "run_taken", "run_resize", "run_signal", "traffic"]);
/** What makes a release of what lies in incoming/. */
const releasing = new Set(["restart", "restart_app"]);

/**
 * How long a session may go on sending by one `incoming`, ms; it asks again while it does. One that is cut off without
 * a word would hold the app for ever.
 */
const leaseMs = 60_000;

type Parts = { ports: AccessPorts; audit: Audit; sshUser(): Promise<SshUser> | null };

/** Who may change an app's incoming/ at the moment, over calls of operations and transfers by SSH; all of it is audited. */
export class Turns {
  readonly #parts: Parts;
  readonly #leases = new Leases();
  /** What a session holds: until the restart that it asks for has been answered, or until it ends. */
  readonly #bySession = new WeakMap<AbortSignal, Map<string, Disposable>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Does what an operation is, when it is its caller's turn, and writes it down. */
  async watch(call: WatchedCall, work: () => Promise<unknown>): Promise<unknown> {
    const { name, principal } = call;
    const input = Input.safeParse(call.input).data ?? {};
    const app = input.app ?? input.name;
    const began = performance.now();
    const facts = { ...describeCaller(principal), did: name, ...(app === undefined ? {} : { app }) };
    const isNoted = !incessant.has(name) && (principal.kind === "key" || !telling.has(name));
    const note = (outcome: Pick<AuditEntry, "outcome" | "why">) =>
      isNoted &&
      this.#parts.audit.note({ ...facts, ...outcome, tookMs: Math.round(performance.now() - began) });
    try {
      const output = await this.#inTurn(call, app, input.wait ?? false, work);
      void note({ outcome: "done" });
      return output;
    } catch (error) {
      const { code, message } = toWire(error);
      void note({ outcome: code === "UNAUTHORIZED" ? "refused" : "failed", why: message.slice(0, 1000) });
      throw error;
    }
  }

  /** The right to change an app's incoming/ for a transfer. Throws `BUSY`. */
  async takeForTransfer(app: string, principal: Principal, signal: AbortSignal): Promise<Disposable> {
    return this.#take(app, principal, { wait: false, signal });
  }

  async #inTurn(
    { name, principal, signal }: WatchedCall,
    app: string | undefined,
    wait: boolean,
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    if (app === undefined) return work();
    if (name === "incoming" && isAllowed(principal, app)) {
      this.#hold(app, signal, await this.#take(app, principal, { wait, signal }, signal));
      const output = await work();
      await this.#giveIncoming(output, principal);
      return output;
    }
    if (!releasing.has(name)) return work();
    await this.#leases.untilFree(app, senderOf(principal, signal), { wait, signal });
    try {
      return await work();
    } finally {
      this.#bySession.get(signal)?.get(app)?.[Symbol.dispose]();
    }
  }

  async #take(
    app: string,
    principal: Principal,
    request: LeaseRequest,
    session = request.signal,
  ): Promise<Disposable> {
    const { ports } = this.#parts;
    // A restart that an administrator asked for reads what lies there too.
    while (principal.kind === "key" && ports.isDeploying(app)) {
      if (!request.wait) throw deploying(app);
      await ports.untilIdle(app);
      request.signal?.throwIfAborted();
    }
    return this.#leases.take(app, senderOf(principal, session), request);
  }

  #hold(app: string, session: AbortSignal, lease: Disposable): void {
    const held = this.#bySession.get(session) ?? new Map<string, Disposable>();
    this.#bySession.set(session, held);
    held.get(app)?.[Symbol.dispose]();
    held.set(app, lease);
    setTimeout(() => lease[Symbol.dispose](), leaseMs).unref();
    if (session.aborted) lease[Symbol.dispose]();
    session.addEventListener("abort", () => lease[Symbol.dispose](), { once: true });
  }

  /** Where Maestro is root its own copies are root's, and what comes by SSH the SSH user's. */
  async #giveIncoming(output: unknown, principal: Principal): Promise<void> {
    const path = z.object({ path: z.string() }).safeParse(output).data?.path;
    const user = await this.#parts.sshUser()?.catch(() => null);
    if (path === undefined || !user || process.getuid?.() !== 0) return;
    if (principal.kind === "key") await giveIncoming(path, user);
    else if ((await lstat(path)).uid === user.uid) await lchown(path, 0, 0);
  }
}

/** Makes all that lies in an incoming/ the SSH user's. An empty webapp/ is made anew by root each time. */
export async function giveIncoming(path: string, user: SshUser): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await giveTree(path, user);
  try {
    await giveTree(join(path, "webapp"), user);
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
}

const senderOf = (principal: Principal, session: AbortSignal | undefined): Sender => ({
  owner: ownerOf(principal, session),
  who: describePrincipal(principal),
});

const isAllowed = (principal: Principal, app: string) =>
  principal.kind === "admin" || principal.apps.includes(app);

/** Sessions and transfers of one SSH connection have one owner; all else is alone. */
function ownerOf(principal: Principal, session: AbortSignal | undefined): string {
  if (principal.kind === "key" && principal.connection) return `${principal.name} ${principal.connection}`;
  return sessionName(session);
}

const sessionNames = new WeakMap<AbortSignal, string>();
let sessions = 0;

function sessionName(session: AbortSignal | undefined): string {
  const name = (session && sessionNames.get(session)) ?? `session ${++sessions}`;
  if (session) sessionNames.set(session, name);
  return name;
}

/** Who it was and from where, for the audit. */
export function describeCaller(principal: Principal): { by: string; from?: string } {
  const by = describePrincipal(principal);
  const from = principal.kind === "key" ? principal.connection?.split(" ")[0] : undefined;
  return from ? { by, from } : { by };
}

const deploying = (app: string) =>
  new MaestroError("BUSY", `another deploy of ${app} is under way; wait for it with --wait, or try again`, {
    app,
  });
