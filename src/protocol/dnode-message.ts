import { z } from "zod";
import { MaestroError } from "../errors.ts";

/** The most arguments of a call, and the deepest place in them; no operation comes near. */
const maxArguments = 64;
const maxDepth = 32;

/** Names that reach out of a value into the prototypes that all values share. */
const unsafeKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

const Key = z
  .union([z.string().max(256), z.int().min(0)])
  .refine((key) => !unsafeKeys.has(String(key)), "not a key that may be used");
const Path = z.array(Key).min(1).max(maxDepth);
type Path = z.infer<typeof Path>;

const CallbackId = z.string().regex(/^(0|[1-9]\d{0,8})$/, "not the number of a callback");

/**
 * A message of the DNode protocol, a line of JSON
 * (https://github.com/substack/dnode-protocol/blob/master/doc/protocol.markdown). `callbacks` says where in
 * `arguments` the functions are. `links`, which make a value contain itself, are refused: no operation takes such a
 * value, and a few of them can describe one of astronomical size.
 */
const Message = z.object({
  method: z.union([z.string().max(128), z.int().min(0)]),
  arguments: z
    .array(z.unknown())
    .max(maxArguments)
    .nullish()
    .transform((value) => value ?? []),
  callbacks: z
    .record(CallbackId, Path)
    .nullish()
    .transform((value) => value ?? {}),
  links: z
    .array(z.unknown())
    .max(0, "arguments that contain themselves are not supported")
    .nullish()
    .transform(() => []),
});
export type DnodeMessage = z.infer<typeof Message>;

/** Throws `BAD_INPUT` for whatever `DnodePeer.handle` could not bear. `maxCallbacks`: of one message. */
export function parseMessage(value: unknown, maxCallbacks: number): DnodeMessage {
  const parsed = Message.safeParse(value);
  if (!parsed.success) throw refusal(parsed.error.issues[0]?.message ?? "its form is wrong");
  const message = parsed.data;
  if (!isPlain(message.arguments, 0))
    throw refusal("its arguments nest too deep or have a key such as __proto__");
  const paths = Object.values(message.callbacks);
  if (paths.length > maxCallbacks) throw refusal(`it has more than ${maxCallbacks} callbacks`);
  if (!paths.every((path) => isPlace(message.arguments, path)))
    throw refusal("a callback has no place in it");
  if (!areApart(paths)) throw refusal("a callback lies in another one");
  return message;
}

/** The callback that a caller most likely waits for, read from a message that may be wrong in any way; or null. */
export function replyIdOf(value: unknown): number | null {
  const ids =
    z.object({ callbacks: z.record(z.string(), z.unknown()) }).safeParse(value).data?.callbacks ?? {};
  const id = Object.keys(ids).findLast((key) => CallbackId.safeParse(key).success && isArgument(ids[key]));
  return id === undefined ? null : Number(id);
}

const isArgument = (path: unknown) => Array.isArray(path) && path.length === 1;

function refusal(why: string): MaestroError {
  return new MaestroError("BAD_INPUT", `this is not a DNode message that Maestro can take: ${why}`);
}

function isPlain(value: unknown, depth: number): boolean {
  if (!isContainer(value)) return true;
  if (depth > maxDepth) return false;
  return Object.keys(value).every((key) => key !== "__proto__" && isPlain(value[key], depth + 1));
}

/** Whether a function can be put there: a value is there, or it is an argument that was left out. */
function isPlace(args: unknown[], path: Path): boolean {
  let container: unknown = args;
  for (const key of path.slice(0, -1)) {
    if (!holds(container, key)) return false;
    container = container[key];
  }
  const last = path.at(-1) ?? "";
  return holds(container, last) || (container === args && isIndex(last) && Number(last) < maxArguments);
}

/** A function has no places of its own that a message could name. */
function areApart(paths: readonly Path[]): boolean {
  const place = (path: Path) => JSON.stringify(path.map(String));
  const places = new Set(paths.map(place));
  return paths.every((path) => path.every((_, at) => !places.has(place(path.slice(0, at)))));
}

type Container = Record<string | number, unknown>;

function isContainer(value: unknown): value is Container {
  return typeof value === "object" && value !== null;
}

function holds(value: unknown, key: string | number): value is Container {
  return isContainer(value) && Object.hasOwn(value, key) && (!Array.isArray(value) || isIndex(key));
}

const isIndex = (key: string | number) => /^\d{1,9}$/.test(String(key));
