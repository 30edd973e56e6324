import { readFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { isSystemError, MaestroError } from "../src/errors.ts";

/**
 * `NAME=VALUE` words as variables; of `NAME=-` the value is what `readInput` gives, without its last line feed. Throws
 * `BAD_INPUT`, which tells the place of a word that is wrong and never the word: it may be a secret.
 */
export async function parseAssignments(
  words: readonly string[],
  readInput: () => Promise<string>,
): Promise<Map<string, string>> {
  const variables = new Map<string, string>();
  let fromInput: string | null = null;
  for (const [index, word] of words.entries()) {
    const equals = word.indexOf("=");
    if (equals < 1) throw wrong(`assignment ${index + 1} is not NAME=VALUE`);
    const name = word.slice(0, equals);
    if (variables.has(name)) throw wrong(`assignment ${index + 1} sets a variable that another one sets too`);
    const value = word.slice(equals + 1);
    variables.set(name, value);
    if (value !== "-") continue;
    if (fromInput !== null) throw wrong("only one variable can be read from standard input");
    fromInput = name;
  }
  if (fromInput !== null) variables.set(fromInput, (await readInput()).replace(/\r?\n$/, ""));
  return variables;
}

/** The variables of a file such as `.env`, as Node reads it (https://nodejs.org/api/util.html#utilparseenvcontent). */
export async function readEnvFile(path: string): Promise<Map<string, string>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw wrong(`${path} cannot be read (${error.code}); name a file with lines NAME=VALUE`);
  }
  const variables = Object.entries(parseEnv(text)).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  if (variables.length === 0) throw wrong(`${path} sets no variable; it needs lines NAME=VALUE`);
  return new Map(variables);
}

/** A line of such a file, where a quote can be found that the value does not have. */
export function formatAssignment(name: string, value: string): string {
  if (/^[\w./:@%+,-]*$/.test(value)) return `${name}=${value}`;
  const quote = ["'", '"', "`"].find((candidate) => !value.includes(candidate)) ?? "'";
  return `${name}=${quote}${value}${quote}`;
}

const wrong = (message: string) => new MaestroError("BAD_INPUT", message);
