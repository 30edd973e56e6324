import { chmod } from "node:fs/promises";
import type { Principal } from "../app/principal.ts";
import { MaestroError, toWire } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import type { Statement } from "../protocol/gate.ts";
import type { Audit } from "./audit.ts";
import { settleCutOff } from "./cut-off.ts";
import type { Visit, Visits } from "./door.ts";
import type { Keys } from "./keys.ts";
import type { AccessPorts } from "./ports.ts";
import { prepareRepository } from "./repositories.ts";
import type { SshUser } from "./ssh-user.ts";
import { describeCaller, giveIncoming, type Turns } from "./turns.ts";

type Parts = { home: string; ports: AccessPorts; keys: Keys; turns: Turns; audit: Audit; log: Log };

/** Whoever comes to the door by a key, what they are let do, and how it is ended. */
export class Visitors {
  readonly #parts: Parts;
  readonly #present = new Map<string, Set<(reason: string) => void>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Ends all that a key is being used for. */
  end(key: string, reason: string): void {
    for (const end of this.#present.get(key) ?? []) end(reason);
  }

  visits(user: SshUser): Visits {
    return {
      operations: (statement, socket) => {
        const principal = this.#principal(statement);
        const session = this.#parts.ports.enter(socket, principal);
        const forget = this.#note(statement.key, (reason) =>
          session.leave(new MaestroError("UNAUTHORIZED", reason, { key: statement.key })),
        );
        socket.once("close", forget);
        this.#parts.log.info({ key: statement.key, from: statement.connection }, "access.session");
        this.#write(principal, { did: "session", outcome: "done" });
      },
      transfer: (statement, visit) => this.#transfer(statement, visit, user),
      refused: (statement) => this.#refuse(statement),
    };
  }

  #principal({ key, connection }: Statement): Principal & { kind: "key" } {
    const found = this.#parts.keys.find(key);
    if (found) return { kind: "key", name: key, apps: found.apps, connection };
    throw new MaestroError("UNAUTHORIZED", `the key ${key} has been removed`, { key });
  }

  async #transfer(
    statement: Statement & { purpose: "send" | "push" },
    visit: Visit,
    user: SshUser,
  ): Promise<void> {
    const { app, purpose } = statement;
    const principal = this.#principal(statement);
    const began = performance.now();
    const write = (outcome: { outcome: "done" | "failed" | "refused"; why?: string }) =>
      this.#write(principal, {
        did: purpose,
        app,
        ...outcome,
        tookMs: Math.round(performance.now() - began),
      });
    try {
      if (!principal.apps.includes(app)) throw notYours(principal.name, app);
      // A push takes its turn by what its hook asks for.
      using _turn =
        purpose === "send" ? await this.#parts.turns.takeForTransfer(app, principal, visit.signal) : null;
      const end = await this.#permit(statement, visit, user);
      if (end === 0) write({ outcome: "done" });
      else write({ outcome: "failed", why: end === null ? "it was cut off" : `it ended with ${end}` });
    } catch (error) {
      const { code, message } = toWire(error);
      write({ outcome: code === "UNAUTHORIZED" ? "refused" : "failed", why: message });
      throw error;
    }
  }

  /** Lets it happen, and answers with which exit code it ended; null when nobody said. */
  async #permit(
    { key, app, purpose }: Statement & { purpose: "send" | "push" },
    visit: Visit,
    user: SshUser,
  ): Promise<number | null> {
    const incoming = await this.#parts.ports.prepareIncoming(app);
    await giveIncoming(incoming, user);
    const repository = purpose === "push" ? await prepareRepository(this.#parts.home, app, user) : "";
    const forget = this.#note(key, (reason) => visit.say({ end: reason }));
    try {
      // What a push changes there is its hook's affair.
      if (purpose === "send") await this.#parts.ports.beginReceiving(app, `key ${key}`);
      visit.say({ incoming, repository });
      const end = await visit.ended;
      this.#parts.log.info({ key, app, purpose, ...end }, "access.ended");
      // rsync has given it the mode of the directory that was sent.
      if (process.getuid?.() === 0) await chmod(incoming, 0o750);
      if (purpose === "send") await settleCutOff(incoming, end?.exitCode === 0);
      if (purpose === "send" && end?.exitCode === 0) await this.#parts.ports.endReceiving(app);
      return end === null ? null : (end.exitCode ?? 1);
    } finally {
      forget();
    }
  }

  #refuse(statement: Statement & { purpose: "refused" }): string {
    const principal = this.#principal(statement);
    const { command, why } = statement;
    if (command === "") {
      this.#write(principal, { did: "shell", outcome: "refused" });
    } else this.#write(principal, { did: "command", outcome: "refused", command, why });
    const apps = principal.apps.join(", ");
    const can = `the key ${principal.name} deploys ${apps}, with \`maestro deploy --to\` or git push`;
    return command === "" ? `this opens no shell; ${can}` : `this command ${why}; ${can}`;
  }

  #note(key: string, end: (reason: string) => void): () => void {
    const present = this.#present.get(key) ?? new Set();
    this.#present.set(key, present.add(end));
    return () => void present.delete(end);
  }

  #write(principal: Principal, facts: Omit<Parameters<Audit["note"]>[0], "by" | "from">): void {
    void this.#parts.audit.note({ ...describeCaller(principal), ...facts });
  }
}

const notYours = (key: string, app: string) =>
  new MaestroError(
    "UNAUTHORIZED",
    `the key ${key} is not for ${app}; whoever runs this server can add it: maestro keys add ${key} FILE --apps ${app},…`,
    { key, app },
  );
