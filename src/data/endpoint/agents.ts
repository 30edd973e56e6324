import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";

const kept = { keepAlive: true, keepAliveMsecs: 1000, scheduling: "lifo" } as const;

/** Connections to one server, of the general path. What one app has under way keeps nobody else waiting. */
export class Agents {
  /** For what the endpoint asks by itself. */
  readonly own: Agent;
  readonly #ofApps = new Map<string, Agent>();
  readonly #isSecure: boolean;
  readonly #mostOpen: number;

  /** `mostOpen`: of each app. */
  constructor({ isSecure, mostOpen }: { isSecure: boolean; mostOpen: number }) {
    this.#isSecure = isSecure;
    this.#mostOpen = mostOpen;
    this.own = this.#make(Number.POSITIVE_INFINITY);
  }

  of(app: string): Agent {
    const known = this.#ofApps.get(app) ?? this.#make(this.#mostOpen);
    this.#ofApps.set(app, known);
    return known;
  }

  close(): void {
    for (const agent of [this.own, ...this.#ofApps.values()]) agent.destroy();
  }

  #make(maxSockets: number): Agent {
    const options = { ...kept, maxSockets };
    return this.#isSecure ? new SecureAgent(options) : new Agent(options);
  }
}
