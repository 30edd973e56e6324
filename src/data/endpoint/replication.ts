import { z } from "zod";
import type { Backend } from "./backend.ts";
import type { Side } from "./sequences.ts";

/** How one direction of a database's replication is. `through`: everything of the source up to there has arrived. */
export type DirectionReport = {
  /** Where it comes from. */
  from: Side;
  state: "running" | "idle" | "failing" | "stopped";
  /** Documents that have still to be looked at; null: not known. */
  behind: number | null;
  through: string | null;
  error: string | null;
};

/** What the endpoint needs of a local server's replicator. There are two: the embedded database's, and CouchDB's. */
export type Replicator = {
  /** Makes sure that a database is replicated both ways; one that was held up goes on at once. */
  ensure(database: string, remote: string): Promise<void>;
  stop(database: string, remote: string): Promise<void>;
  /** Resolves when everything has come over that was at the remote when this was called. */
  bringHome(database: string, remote: string, timeoutMs: number): Promise<void>;
  report(database: string): Promise<DirectionReport[]>;
};

type Place = string | { url: string; auth: { basic: { username: string; password: string } } };

/** A remote database as both replicators take it, its credentials apart from its URL. */
export function remotePlace(remote: string): Place {
  const url = new URL(remote);
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  url.username = "";
  url.password = "";
  return { url: url.href, auth: { basic: { username, password } } };
}

const Jobs = z.object({
  jobs: z.array(
    z.looseObject({
      source: z.string(),
      target: z.string(),
      doc_id: z.string().nullable().optional(),
      info: z
        .looseObject({
          state: z.string().optional(),
          error: z.string().nullable().optional(),
          changes_pending: z.number().nullable().optional(),
          through_seq: z.unknown().optional(),
          source_seq: z.unknown().optional(),
          checkpointed_source_seq: z.unknown().optional(),
        })
        .nullable()
        .optional(),
    }),
  ),
});

/** The embedded database keeps no record of its replications: they are asked for again when it was started anew. */
export function embeddedReplicator(server: Backend): Replicator {
  const request = (database: string, remote: string, from: Side, extra: object) => {
    const there = remotePlace(remote);
    const places =
      from === "local" ? { source: database, target: there } : { source: there, target: database };
    return { body: { ...places, ...extra } };
  };
  const stop = async (database: string, remote: string) => {
    for (const from of ["local", "remote"] as const) {
      const cancel = request(database, remote, from, { continuous: true, cancel: true });
      await server.must("POST", "/_replicate", { ...cancel, allow: [404] });
    }
  };
  return {
    stop,
    async ensure(database, remote) {
      // One that waits for an answer which never comes, or enters with an old password, would go on doing so.
      await stop(database, remote);
      for (const from of ["local", "remote"] as const) {
        await server.must("POST", "/_replicate", request(database, remote, from, { continuous: true }));
      }
    },
    async bringHome(database, remote, timeoutMs) {
      await server.must("POST", "/_replicate", { ...request(database, remote, "remote", {}), timeoutMs });
    },
    async report(database) {
      const { jobs } = Jobs.parse(await server.must("GET", "/_scheduler/jobs"));
      return (["local", "remote"] as const).map((from) => {
        const job = jobs.find(({ source, target }) => (from === "local" ? source : target) === database);
        const state = job?.info?.state;
        return {
          from,
          state:
            job === undefined
              ? "stopped"
              : state === "crashing"
                ? "failing"
                : state === "idle"
                  ? "idle"
                  : "running",
          behind: job?.info?.changes_pending ?? null,
          through: sequence(job?.info?.through_seq),
          error: job?.info?.error ?? null,
        };
      });
    },
  };
}

/**
 * CouchDB's own, by documents in `_replicator`. It backs off from a remote that is away, for up to hours; a document
 * that is written anew begins at once.
 */
export function couchReplicator(server: Backend): Replicator {
  const idOf = (database: string, from: Side) => `maestro-${database}-${from === "local" ? "push" : "pull"}`;
  const pathOf = (database: string, from: Side) => `/_replicator/${encodeURIComponent(idOf(database, from))}`;
  const here = (database: string): Place => ({
    url: `${server.shown.replace(/\/$/, "")}/${encodeURIComponent(database)}`,
    auth: { basic: credentialsOf(server.authorization) },
  });
  const drop = async (database: string, from: Side) => {
    const { status, json } = await server.ask("GET", pathOf(database, from));
    if (status !== 200) return;
    const { _rev } = z.looseObject({ _rev: z.string() }).parse(json);
    await server.must("DELETE", `${pathOf(database, from)}?rev=${encodeURIComponent(_rev)}`, {
      allow: [404, 409],
    });
  };
  const places = (database: string, remote: string, from: Side) => {
    const both = [here(database), remotePlace(remote)];
    const [source, target] = from === "local" ? both : both.reverse();
    return { source, target };
  };
  return {
    async ensure(database, remote) {
      await server.must("PUT", "/_replicator", { allow: [412] });
      for (const from of ["local", "remote"] as const) {
        await drop(database, from);
        const body = { ...places(database, remote, from), continuous: true };
        await server.must("PUT", pathOf(database, from), { body, allow: [409] });
      }
    },
    async stop(database) {
      await drop(database, "local");
      await drop(database, "remote");
    },
    async bringHome(database, remote, timeoutMs) {
      await server.must("POST", "/_replicate", { body: places(database, remote, "remote"), timeoutMs });
    },
    async report(database) {
      const { jobs } = Jobs.parse(await server.must("GET", "/_scheduler/jobs"));
      const { docs } = SchedulerDocs.parse(await server.must("GET", "/_scheduler/docs/_replicator"));
      return (["local", "remote"] as const).map((from) => {
        const info = jobs.find(({ doc_id }) => doc_id === idOf(database, from))?.info;
        const doc = docs.find(({ doc_id }) => doc_id === idOf(database, from));
        const failing = doc?.state === "crashing" || doc?.state === "error" || doc?.state === "failed";
        return {
          from,
          state:
            doc === undefined
              ? "stopped"
              : failing
                ? "failing"
                : info?.changes_pending === 0
                  ? "idle"
                  : "running",
          behind: info?.changes_pending ?? null,
          through: sequence(info?.checkpointed_source_seq),
          error: failing ? (doc?.info?.error ?? doc?.state ?? null) : null,
        };
      });
    },
  };
}

const SchedulerDocs = z.object({
  docs: z.array(
    z.looseObject({
      doc_id: z.string(),
      state: z.string().nullable().optional(),
      info: z.looseObject({ error: z.string().nullable().optional() }).nullable().optional(),
    }),
  ),
});

function credentialsOf(authorization: string): { username: string; password: string } {
  const text = Buffer.from(authorization.replace(/^Basic /, ""), "base64").toString("utf8");
  const colon = text.indexOf(":");
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

const sequence = (value: unknown): string | null =>
  typeof value === "string" || typeof value === "number" ? String(value) : null;
