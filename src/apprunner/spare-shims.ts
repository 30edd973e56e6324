import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { isSystemError } from "../errors.ts";
import { quoted } from "../lib/shell-words.ts";

const script = fileURLToPath(new URL("./shim.sh", import.meta.url));

/** What a shim is told first: the arguments of `launch` in shim.sh. */
export type ShimOrder = {
  app: string;
  directory: string;
  output: { stdout: string; stderr: string };
  /** What the first program of the chain finds beside PATH: NAME=VALUE. */
  environment: string;
  runDirectory: string;
  /** From enter.sh on. */
  command: readonly string[];
};

/**
 * A shell that stays beside an instance. It reads what to do from a socket: nothing that it is told goes through a
 * command line or a file.
 */
export class Shim implements Disposable {
  readonly #orders: Socket;
  readonly #program: Socket;
  readonly #begun = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<void>();

  /** As shim.sh has them. `orders`: its standard input. `program`: descriptor 3. */
  constructor(orders: Socket, program: Socket) {
    this.#orders = orders;
    this.#program = program;
    const { resolve, reject, promise } = this.#begun;
    program.once("data", () => resolve());
    // After a broken pipe comes "close".
    program.on("error", (cause) => isSystemError(cause, "EPIPE", "ECONNRESET") || reject(cause));
    program.once("close", resolve);
    promise.catch(() => {}); // for whom nobody waits yet
    orders.on("error", () => {}); // "close" follows
    orders.once("close", () => this.#settled.resolve());
    orders.resume(); // so that its end is seen
  }

  /** False when it is known to have ended. */
  get isThere(): boolean {
    return !this.#program.destroyed;
  }

  /** `script`: its last. */
  order(script: string): void {
    for (const socket of [this.#orders, this.#program]) socket.ref();
    this.#orders.write(script);
  }

  /**
   * Lets it go on. Resolves when the process is there that becomes the app, or when nobody is left who could become it.
   * Throws the errors of spawn(2).
   */
  async go(): Promise<void> {
    this.#program.write("go\n");
    await this.#begun.promise;
    this.#program.destroy(); // bwrap(1) holds its end for as long as the app lives
  }

  /** Resolves when the run directory can be read. */
  async settle(): Promise<void> {
    this.#orders.end();
    await this.#settled.promise;
  }

  /** An instance that has not been let go on ends. */
  [Symbol.dispose](): void {
    this.#program.destroy();
    this.#orders.end();
  }
}

/** How long after a start the next shim is forked, ms: an app that has only just been started needs the CPU more. */
const refillMs = 200;

/**
 * Keeps one shim started ahead, as pre-forking servers keep spare ones: to fork this process, whose memory has to be
 * copied page table by page table, takes 5 ms and more, and an app would wait for it. Of several that start at once,
 * the others wait. A spare ends with this process, however that ends.
 */
export class SpareShims {
  readonly #name: string;
  #spare: Shim | null = null;
  #refilling: NodeJS.Timeout | null = null;

  /** `name`: whose they are, for who looks at the list of processes. */
  constructor(name: string) {
    this.#name = name;
  }

  /** One that gets ready for an instance, and waits. Throws errors of spawn(2). */
  order(order: ShimOrder): Shim {
    const script = `launch ${wordsOf(order).map(quoted).join(" ")}\n`;
    const shim = this.#spare?.isThere ? this.#spare : fork(this.#name);
    this.#spare = null;
    this.#refilling ??= setTimeout(() => this.#refill(), refillMs).unref();
    shim.order(script);
    return shim;
  }

  #refill(): void {
    this.#refilling = null;
    try {
      if (!this.#spare?.isThere) this.#spare = fork(this.#name);
    } catch {
      // Whoever starts the next instance is told why.
    }
  }
}

const wordsOf = ({ app, directory, output, environment, runDirectory, command }: ShimOrder) => [
  ...[app, directory, output.stdout, output.stderr, environment, runDirectory],
  ...command,
];

/**
 * Its parent is init and not this process: a controller that becomes its next version by execve(2) knows nothing of
 * children, and would leave each of them a zombie.
 */
function fork(name: string): Shim {
  const child = spawn("/bin/sh", ["-c", 'exec /bin/sh -s "$0" <&4 &', name], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    detached: true, // Ctrl-C at the terminal of `maestro serve` is not meant for it.
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  child.once("error", (cause) => child.stdio?.[3]?.destroy(cause));
  const [program, orders] = [socketOf(child, 3), socketOf(child, 4)];
  for (const one of [child, program, orders]) one.unref();
  orders.write(`. ${quoted(script)}\n`);
  return new Shim(orders, program);
}

/** Node gives a child no streams when this process has no descriptors left for them. */
function socketOf({ stdio }: Partial<Pick<ChildProcess, "stdio">>, at: 3 | 4): Socket {
  const socket = stdio?.[at];
  if (socket instanceof Socket) return socket;
  throw new Error("no more files can be opened");
}
