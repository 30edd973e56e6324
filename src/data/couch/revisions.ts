import type PouchDB from "pouchdb-core";
import type { RevisionNode, RevisionTree } from "pouchdb-core";

type Leaf = { rev: string; deleted: boolean };

/** The last revision of every branch. */
export async function leaves(pouch: PouchDB, id: string): Promise<Leaf[]> {
  const { promise, resolve, reject } = Promise.withResolvers<RevisionTree>();
  pouch._getRevisionTree(id, (error, tree) => (error ? reject(error) : resolve(tree ?? [])));
  const found: Leaf[] = [];
  const open: { pos: number; node: RevisionNode }[] = (await promise).map(({ pos, ids }) => ({
    pos,
    node: ids,
  }));
  for (let next = open.pop(); next; next = open.pop()) {
    const [hash, { deleted = false }, children] = next.node;
    const pos = next.pos;
    if (children.length === 0) found.push({ rev: `${pos}-${hash}`, deleted });
    for (const node of children) open.push({ pos: pos + 1, node });
  }
  return found;
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
