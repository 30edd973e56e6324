/** Options of the command line that take a value. */
const withValue: ReadonlySet<string> = new Set(["--server", "--to"]);

/**
 * Sets a program apart by `--`, where its caller did not: `run shop ls --all` is `run shop -- ls --all`. After the name
 * of the app, the program begins with the first word that is no option.
 */
export function markProgram(argv: readonly string[]): readonly string[] {
  const command = nextWord(argv, 0);
  if (argv[command] !== "run") return argv;
  const app = nextWord(argv, command + 1);
  const program = nextWord(argv, app + 1);
  if (argv.slice(0, program + 1).includes("--") || program >= argv.length) return argv;
  return [...argv.slice(0, program), "--", ...argv.slice(program)];
}

/** The name of the command that a line calls, as far as it has one. */
export const commandOf = (argv: readonly string[]) => argv[nextWord(argv, 0)];

/** The place of the first word, from a place on, that is neither an option nor the value of one. */
function nextWord(argv: readonly string[], from: number): number {
  let at = from;
  while (argv[at]?.startsWith("-") && argv[at] !== "--") at += withValue.has(argv[at] ?? "") ? 2 : 1;
  return at;
}
