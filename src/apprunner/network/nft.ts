import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { isSystemError, MaestroError } from "../../errors.ts";

/** nft(8) that has not ended by then waits for something that does not come. In milliseconds. */
const patience = 10_000;

/** Where nft is, also for a Maestro whose own path lacks the directories of the administrator. */
const env = { PATH: "/usr/sbin:/sbin:/usr/bin:/bin", LC_ALL: "C" };

/** What nft(8) said no to; `missing` when a table, set or element is not there. */
export class NftError extends MaestroError {
  readonly missing: boolean;

  constructor(doing: string, words: string) {
    super("INTERNAL", `nftables could not ${doing}: ${firstLine(words)}`, { nft: words });
    this.missing = /No such file or directory/.test(words);
  }
}

/** Applies a script as one transaction: all of it, or nothing. Throws `NftError` with the words of nft. */
export async function apply(doing: string, script: string): Promise<void> {
  await run(doing, ["-f", "-"], script);
}

/** The elements of a set as nft -j shows them (libnftables-json(5)). Throws `NftError`. */
export async function listSet(table: string, set: string): Promise<unknown> {
  const output = await run(`read the set ${set}`, ["-j", "list", "set", "inet", table, set], "");
  return JSON.parse(output);
}

/** The names of the tables of the family inet. Throws `NftError`. */
export async function listTables(): Promise<string[]> {
  const output = await run("list the tables", ["list", "tables", "inet"], "");
  return [...output.matchAll(/^table inet (\S+)$/gm)].map(([, name = ""]) => name);
}

/** A chain, as nft(8) writes it. Throws `NftError`. */
export function listChain(table: string, chain: string): Promise<string> {
  return run(`read the chain ${chain}`, ["list", "chain", "inet", table, chain], "");
}

async function run(doing: string, args: readonly string[], input: string): Promise<string> {
  const child = spawn("nft", args, { env, signal: AbortSignal.timeout(patience), killSignal: "SIGKILL" });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  child.stdin.on("error", () => {}); // nft that ends early says why on its standard error
  child.stdin.end(input);
  try {
    const [code, output, words] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    if (code === 0) return output;
    throw new NftError(doing, words.trim() || `nft ended with ${code}`);
  } catch (error) {
    throw translated(doing, error);
  }
}

function translated(doing: string, error: unknown): unknown {
  if (isSystemError(error, "ENOENT"))
    return new NftError(doing, "nft is not there (package nftables); install it");
  if (error instanceof Error && error.name === "AbortError") {
    return new NftError(doing, `nft did not end within ${patience / 1000} s`);
  }
  return error;
}

const firstLine = (words: string) => words.split("\n", 1)[0];
