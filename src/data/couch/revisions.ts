import type PouchDB from "pouchdb-core";
import type { Document, RevisionNode, RevisionTree } from "pouchdb-core";
import { toCouchError } from "./errors.ts";

type Leaf = { rev: string; deleted: boolean };

type Place = { pos: number; node: RevisionNode };

async function treeOf(pouch: PouchDB, id: string): Promise<Place[]> {
  const { promise, resolve, reject } = Promise.withResolvers<RevisionTree>();
  pouch._getRevisionTree(id, (error, tree) => (error ? reject(error) : resolve(tree ?? [])));
  return (await promise).map(({ pos, ids }) => ({ pos, node: ids }));
}

const revOf = ({ pos, node: [hash] }: Place) => `${pos}-${hash}`;

/** A revision and all that came of it. */
function* descend(place: Place): Generator<Place> {
  const open = [place];
  for (let next = open.pop(); next; next = open.pop()) {
    yield next;
    const { pos, node } = next;
    for (const child of node[2]) open.push({ pos: pos + 1, node: child });
  }
}

const leavesBelow = (place: Place): Leaf[] =>
  [...descend(place)]
    .filter(({ node }) => node[2].length === 0)
    .map((leaf) => ({ rev: revOf(leaf), deleted: leaf.node[1].deleted ?? false }));

/** The last revision of every branch. */
async function leaves(pouch: PouchDB, id: string): Promise<Leaf[]> {
  return (await treeOf(pouch, id)).flatMap(leavesBelow);
}

/**
 * What became of a revision: the leaves below it, itself when it is one; none when it is not known. PouchDB's own
 * `latest` ends the process when it is asked for a revision that it does not know.
 */
export async function latestOf(pouch: PouchDB, id: string, rev: string): Promise<string[]> {
  for (const root of await treeOf(pouch, id)) {
    for (const place of descend(root)) {
      if (revOf(place) === rev) return leavesBelow(place).map((leaf) => leaf.rev);
    }
  }
  return [];
}

export type Revision = { ok: Document } | { missing: string };

/** Given revisions of a document, or the last one of every branch. Throws 404 for all of a document that is not there. */
export async function openRevisions(
  pouch: PouchDB,
  id: string,
  wanted: "all" | readonly string[],
  { latest, ...options }: { latest: boolean; revs: boolean; attachments: boolean; binary?: boolean },
): Promise<Revision[]> {
  if (wanted === "all") {
    const found = (await leaves(pouch, id)).map(({ rev }) => read(pouch, id, rev, options));
    return Promise.all(found);
  }
  const each = wanted.map(async (rev): Promise<Revision[]> => {
    const revs = latest ? await latestOf(pouch, id, rev).catch(() => []) : [rev]; // There is no such document.
    if (revs.length === 0) return [{ missing: rev }];
    return Promise.all(revs.map((leaf) => read(pouch, id, leaf, options)));
  });
  return (await Promise.all(each)).flat();
}

async function read(pouch: PouchDB, id: string, rev: string, options: object): Promise<Revision> {
  try {
    return { ok: await pouch.get(id, { ...options, rev }) };
  } catch (error) {
    if (toCouchError(error).status !== 404) throw error;
    return { missing: rev };
  }
}

/** The deleted leaves of a document that lives. */
export async function deletedConflicts(pouch: PouchDB, id: string): Promise<string[]> {
  return (await leaves(pouch, id)).filter(({ deleted }) => deleted).map(({ rev }) => rev);
}

/** The sequence of a document's last change. */
export async function localSeq(pouch: PouchDB, id: string): Promise<number> {
  const { results } = await pouch.changes({ doc_ids: [id], return_docs: true });
  return results[0]?.seq ?? 0;
}
