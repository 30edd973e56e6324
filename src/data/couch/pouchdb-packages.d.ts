/** The parts of PouchDB 9 that Maestro uses; the packages have no types of their own that fit this version. */
declare module "pouchdb-core" {
  import type { EventEmitter } from "node:events";

  export type Document = {
    _id: string;
    _rev?: string | undefined;
    _deleted?: boolean;
    _attachments?: Record<string, Attachment>;
    [field: string]: unknown;
  };
  export type Attachment = {
    content_type: string;
    digest?: string;
    length?: number;
    revpos?: number;
    stub?: boolean;
    follows?: boolean;
    data?: string | Buffer;
  };
  export type WriteResult =
    | { ok: true; id: string; rev: string }
    | { error: true; id: string; status: number; name: string; message: string; reason?: string };
  export type Row = {
    id: string;
    key: string;
    value: { rev: string; deleted?: true };
    doc?: Document;
    error?: string;
  };
  export type AllDocs = { total_rows: number; offset: number; update_seq?: number; rows: Row[] };
  export type Change = {
    id: string;
    seq: number;
    changes: { rev: string }[];
    deleted?: true;
    doc?: Document;
  };
  export type ViewResult = { total_rows?: number; offset?: number; update_seq?: number; rows: unknown[] };
  export type RevisionTree = { pos: number; ids: RevisionNode }[];
  export type RevisionNode = [string, { status: string; deleted?: boolean }, RevisionNode[]];
  type Options = Readonly<Record<string, unknown>>;
  export type Task = { id: string; name: string; total_items?: number; completed_items?: number };
  export type Replication = EventEmitter & Promise<{ last_seq: unknown }> & { cancel(): void };
  type WriteCallback = (error: unknown, results?: WriteResult[]) => void;

  export default class PouchDB {
    constructor(name: string, options?: Options);
    static plugin(plugin: object): typeof PouchDB;
    static adapter(id: string, adapter: unknown, addToPreferred?: boolean): void;
    static activeTasks: { list(): Task[] };
    readonly name: string;
    /** What all writes go through: an adapter's own, below the plugins. */
    _bulkDocs(request: { docs: Document[] }, options: Options, callback: WriteCallback): void;
    _getRevisionTree(id: string, callback: (error: unknown, tree?: RevisionTree) => void): void;
    info(): Promise<{ doc_count: number; update_seq: number; db_name: string }>;
    id(): Promise<string>;
    get(id: string, options?: Options): Promise<Document>;
    put(document: Document, options?: Options): Promise<WriteResult>;
    bulkDocs(request: { docs: Document[] }, options?: Options): Promise<WriteResult[]>;
    bulkGet(options: Options): Promise<{ results: { id: string; docs: object[] }[] }>;
    allDocs(options?: Options): Promise<AllDocs>;
    changes(options: Options): Promise<{ results: Change[]; last_seq: number }>;
    remove(id: string, rev: string): Promise<WriteResult>;
    getAttachment(id: string, name: string, options?: Options): Promise<Buffer>;
    revsDiff(request: Record<string, string[]>): Promise<Record<string, { missing: string[] }>>;
    compact(): Promise<unknown>;
    close(): Promise<void>;
    find(request: Options): Promise<{ docs: object[]; warning?: string }>;
    explain(request: Options): Promise<object>;
    createIndex(request: Options): Promise<{ result: string; id: string; name: string }>;
    getIndexes(): Promise<{ total_rows: number; indexes: object[] }>;
    deleteIndex(index: { ddoc: string; name: string }): Promise<{ ok: true }>;
    static replicate(source: PouchDB, target: PouchDB, options: Options): Replication;
  }
}

declare module "pouchdb-adapter-leveldb-core" {
  const adapter: (this: unknown, options: object, callback: unknown) => void;
  export default adapter;
}

declare module "leveldown" {
  type Done = (error?: Error) => void;
  export type Store = {
    _put(key: unknown, value: unknown, options: object, done: Done): void;
    _del(key: unknown, options: object, done: Done): void;
    _batch(operations: unknown, options: object, done: Done): void;
  };
  function leveldown(location: string): Store;
  namespace leveldown {
    function destroy(location: string, done: Done): void;
  }
  export default leveldown;
}

declare module "pouchdb-adapter-http" {
  const plugin: object;
  export default plugin;
}
declare module "pouchdb-replication" {
  const plugin: object;
  export default plugin;
}
declare module "pouchdb-find" {
  const plugin: object;
  export default plugin;
}
declare module "pouchdb-abstract-mapreduce" {
  import type PouchDB from "pouchdb-core";
  import type { Document, ViewResult } from "pouchdb-core";

  type Emit = (key: unknown, value: unknown) => void;
  export default function createAbstractMapReduce(
    localDocumentName: string,
    mapper: (source: string, emit: Emit) => (document: Document) => void,
    reducer: (source: string) => (keys: unknown, values: unknown[], rereduce: boolean) => unknown,
    validator: (designDocument: Document, viewName: string) => void,
  ): {
    query(this: PouchDB, view: string, options: Readonly<Record<string, unknown>>): Promise<ViewResult>;
    viewCleanup(this: PouchDB): Promise<unknown>;
  };
}
declare module "pouchdb-selector-core" {
  export function matchesSelector(document: object, selector: object): boolean;
}
