/**
 * What Node has under a socket: a libuv stream, and requests to it. A `Socket` around it costs more than all else that
 * a short connection needs. None of it is documented: `findWires` tries what is used of it before it is relied upon.
 */
export type Handle = {
  /** Bytes that the kernel has not taken yet. */
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  setNoDelay(isOn: boolean): number;
  getpeername(into: { address?: string }): number;
  getsockname(into: { port?: number }): number;
};

/** Who is told what happens to a handle. */
export type Told = {
  /** The first `length` bytes of the buffer; below 0, an error or `endOfFile`. Returns another for the next read, if so. */
  onRead(length: number): Buffer | undefined;
  /** The kernel has taken what had to wait; else it never will. */
  onWritten(isTaken: boolean): void;
  onShutDown(): void;
  onClosed(): void;
};

type Request = { oncomplete(this: Request, status: number, handle: Insides): void };
type WriteRequest = Request & { bytes?: Buffer };

type Insides = Handle & {
  onread: (this: Insides) => Buffer | undefined;
  useUserBuffer(buffer: Buffer): void;
  /** These return 0, or an error. */
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  shutdown(request: Request): number;
  reset(done: (this: Insides) => void): number;
  close(done: (this: Insides) => void): void;
  /** Ours. */
  told?: Told;
};

type Native = {
  WriteWrap: new () => WriteRequest;
  ShutdownWrap: new () => Request;
  /** About the call before. */
  streamBaseState: Int32Array;
  kReadBytesOrError: number;
  kLastWriteWasAsync: number;
};

/** In a Node without it these are undefined, which whoever tries them finds out. */
const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = findNative();

function findNative(): Native {
  try {
    return Reflect.apply(Reflect.get(process, "binding"), process, ["stream_wrap"]) as Native;
  } catch {
    return {} as Native;
  }
}

/** Libuv's own number, on Linux and macOS. */
export const endOfFile = -4095;

/** Begins to read into `buffer`. A handle has one who is told, for good. */
export function read(handle: Handle, buffer: Buffer, told: Told): void {
  const insides = handle as Insides;
  insides.told = told;
  insides.onread = onRead;
  insides.useUserBuffer(buffer);
  insides.readStart();
}

/** Used again as long as the kernel takes what is written at once: Node has then not touched it. */
let spare: WriteRequest | null = null;

/** What is `waiting` has to stay as it is until `onWritten`. */
export function write(handle: Handle, bytes: Buffer): "taken" | "waiting" | "failed" {
  const request = spare ?? newWriteRequest();
  spare = null;
  if ((handle as Insides).writeBuffer(request, bytes) !== 0) return "failed";
  if (streamBaseState[kLastWriteWasAsync] === 1) {
    request.bytes = bytes;
    return "waiting";
  }
  spare = request;
  return "taken";
}

/** Says that nothing more is written, behind what was. False when that cannot be. */
export function shutDown(handle: Handle): boolean {
  const request = new ShutdownWrap();
  request.oncomplete = onShutDown;
  return (handle as Insides).shutdown(request) === 0;
}

export function close(handle: Handle): void {
  (handle as Insides).close(onClosed);
}

/** Closes it so that the other side sees that something is missing. False when that cannot be. */
export function reset(handle: Handle): boolean {
  return (handle as Insides).reset(onClosed) === 0;
}

function newWriteRequest(): WriteRequest {
  const request = new WriteWrap();
  request.oncomplete = onWritten;
  return request;
}

function onRead(this: Insides): Buffer | undefined {
  return this.told?.onRead(streamBaseState[kReadBytesOrError] ?? 0);
}

function onWritten(this: Request, status: number, { told }: Insides): void {
  told?.onWritten(status === 0);
}

function onShutDown(this: Request, _status: number, { told }: Insides): void {
  told?.onShutDown();
}

function onClosed(this: Insides): void {
  this.told?.onClosed();
}
