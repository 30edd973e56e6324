import type { Document } from "pouchdb-core";
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
} from "quickjs-emscripten-core";
import { z } from "zod";
import { badRequest, CouchError } from "./errors.ts";

const quickJs = await newQuickJSWASMModuleFromVariant(import("@jitl/quickjs-wasmfile-release-sync"));

/** What the functions of one database may use together, in bytes. */
const memoryLimit = 16 * 1024 * 1024;
/**
 * How much processor time one function may take, at one document or at many, before others get their turn, in ms: an
 * index is built by 50 documents a turn. Not the time of the clock, which passes also while the machine does other things.
 */
const turnMs = 1000;

type Emit = (key: unknown, value: unknown) => void;
const Emitted = z.array(z.tuple([z.unknown(), z.unknown()]));

/** What CouchDB gives to the functions of design documents. Everything goes in and comes out as JSON. */
const surroundings = `
  globalThis.isArray = Array.isArray;
  globalThis.toJSON = JSON.stringify;
  globalThis.log = () => {};
  globalThis.sum = (values) => values.reduce((total, value) => total + value, 0);
  let emitted = [];
  globalThis.emit = (key, value) => { emitted.push([key ?? null, value ?? null]); };
  ({
    map: (f) => (json) => { emitted = []; f(JSON.parse(json)); return JSON.stringify(emitted); },
    call: (f) => (json) => JSON.stringify(f(...JSON.parse(json)) ?? null),
  })`;

/**
 * The functions of a database's design documents. They are an app's, and the process is everybody's: so they run inside
 * an interpreter compiled to WebAssembly (QuickJS, as CouchDB 3.4 and later offers it), which reaches nothing but what
 * it is handed, with bounds on memory and time.
 */
export class Scripts {
  #runtime: QuickJSRuntime | null = null;
  #context: QuickJSContext | null = null;
  #wrappers: QuickJSHandle | null = null;
  readonly #compiled = new Map<string, QuickJSHandle>();
  /** Functions that took too long or too much once: they would again at every document, and hold everybody up. */
  readonly #stopped = new Set<string>();
  /** What each has taken in this turn of the event loop, in ms. */
  readonly #taken = new Map<string, number>();
  #deadline = 0;

  /** Throws for a function that is not run any more. */
  refuseStopped(source: string): void {
    if (this.#stopped.has(source)) throw tookTooMuch();
  }

  /** A map function. A document at which it throws emits nothing, as with CouchDB. */
  map(source: string, emit: Emit): (document: Document) => void {
    return (document) => {
      const rows = Emitted.safeParse(this.#attempt("map", source, document));
      for (const [key, value] of rows.data ?? []) emit(key, value);
    };
  }

  /** Throws what the function throws. */
  reduce(source: string): (keys: unknown, values: unknown[], rereduce: boolean) => unknown {
    return (keys, values, rereduce) => this.#run("call", source, [keys, values, rereduce]);
  }

  /** A filter for changes: `(doc, req) => boolean`. */
  filter(source: string): (document: Document, request: object) => boolean {
    this.#function("call", source);
    return (document, request) => Boolean(this.#run("call", source, [document, request]));
  }

  /** Whether a map function emits for a document, as `filter=_view` asks. */
  emits(source: string): (document: Document) => boolean {
    return (document) => (Emitted.safeParse(this.#attempt("map", source, document)).data ?? []).length > 0;
  }

  /** `validate_doc_update`: what it throws, or null. */
  refusal(
    source: string,
    parameters: unknown[],
  ): { error: "unauthorized" | "forbidden"; reason: string } | null {
    const guarded = `(...all) => { try { (${source})(...all); return null; } catch (e) { return e instanceof Error ? { message: e.message } : (e ?? {}); } }`;
    const thrown = Refusal.safeParse(this.#run("call", guarded, parameters));
    if (!thrown.success) return { error: "forbidden", reason: "the validation function failed" };
    if (thrown.data === null) return null;
    const { unauthorized, forbidden, message } = thrown.data;
    if (unauthorized !== undefined) return { error: "unauthorized", reason: unauthorized };
    return { error: "forbidden", reason: forbidden ?? message ?? "the validation function failed" };
  }

  #attempt(kind: "map" | "call", source: string, parameter: unknown): unknown {
    try {
      return this.#run(kind, source, parameter);
    } catch {
      return null; // The function is an app's, and so is its fault.
    }
  }

  #run(kind: "map" | "call", source: string, parameter: unknown): unknown {
    this.refuseStopped(source);
    const compiled = this.#function(kind, source);
    const context = this.#open();
    using argument = context.newString(JSON.stringify(parameter));
    const result = this.#bounded(source, () => context.callFunction(compiled, context.undefined, argument));
    if (result.error) throw this.#failure(context, source, result.error);
    using value = result.value;
    return JSON.parse(context.getString(value));
  }

  #function(kind: "map" | "call", source: string): QuickJSHandle {
    const known = this.#compiled.get(`${kind}:${source}`);
    if (known) return known;
    const context = this.#open();
    const code = `(\n${source.trim().replace(/;$/, "")}\n)`;
    const evaluated = this.#bounded(source, () => context.evalCode(code, "design-document.js"));
    if (evaluated.error) {
      evaluated.error.dispose();
      throw badRequest("a function of the design document does not compile");
    }
    using given = evaluated.value;
    using wrapper = context.getProp(this.#wrappers ?? context.undefined, kind);
    const compiled = context.unwrapResult(context.callFunction(wrapper, context.undefined, given));
    this.#compiled.set(`${kind}:${source}`, compiled);
    return compiled;
  }

  /** Does something with what is left of a function's time in this turn. */
  #bounded<T>(source: string, work: () => T): T {
    if (this.#taken.size === 0) setImmediate(() => this.#taken.clear());
    const before = this.#taken.get(source) ?? 0;
    const began = processorMs();
    this.#deadline = began + turnMs - before;
    try {
      return work();
    } finally {
      this.#taken.set(source, before + processorMs() - began);
    }
  }

  /** One that ran out of time or memory leaves an interpreter that cannot be relied on: the next call gets another. */
  #failure(context: QuickJSContext, source: string, thrown: QuickJSHandle): CouchError {
    using error = thrown;
    const { message } = z.object({ message: z.string() }).safeParse(context.dump(error)).data ?? {
      message: "",
    };
    if (/^(interrupted|out of memory)$/.test(message)) {
      this.#stopped.add(source);
      queueMicrotask(() => this.dispose());
    }
    return new CouchError(500, "error", `a function of the design document failed: ${message.slice(0, 200)}`);
  }

  #open(): QuickJSContext {
    if (this.#context) return this.#context;
    this.#runtime = quickJs.newRuntime();
    this.#runtime.setMemoryLimit(memoryLimit);
    this.#runtime.setMaxStackSize(512 * 1024);
    this.#runtime.setInterruptHandler(() => processorMs() > this.#deadline);
    this.#context = this.#runtime.newContext();
    this.#deadline = processorMs() + turnMs;
    this.#wrappers = this.#context.unwrapResult(this.#context.evalCode(surroundings));
    return this.#context;
  }

  dispose(): void {
    for (const compiled of this.#compiled.values()) compiled.dispose();
    this.#compiled.clear();
    this.#wrappers?.dispose();
    this.#context?.dispose();
    this.#runtime?.dispose();
    this.#wrappers = null;
    this.#context = null;
    this.#runtime = null;
  }
}

/** The processor time of this thread so far, in ms. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

const tookTooMuch = () =>
  new CouchError(500, "timeout", "a function of the design document took too long, or too much memory");

const Refusal = z
  .looseObject({
    unauthorized: z.string().optional(),
    forbidden: z.string().optional(),
    message: z.string().optional(),
  })
  .nullable();
