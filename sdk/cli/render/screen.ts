/** How something is shown: what all rendering depends on, so that it is a function of its arguments. */
export type Screen = {
  color: boolean;
  /** A terminal obeys control characters; a file or a pipe is given the text as it is. */
  terminal: boolean;
  /** Milliseconds since 1970, for relative times. */
  now: number;
};

export type Tone = "good" | "warn" | "bad" | "dim" | "strong";

const codes: Record<Tone, string> = { good: "32", warn: "33", bad: "31", dim: "2", strong: "1" };

/** Colour on a terminal, unless https://no-color.org or a terminal without any says otherwise. */
export function wantsColor(isTTY: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  return isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

export function paint(screen: Pick<Screen, "color">, tone: Tone, text: string): string {
  return screen.color && text !== "" ? `\u001b[${codes[tone]}m${text}\u001b[0m` : text;
}

/**
 * Text of somebody else as one harmless line: what a terminal would obey (control characters, and those that turn
 * the direction of writing) is shown as its code.
 */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, (character) =>
    character === "\t" ? character : escaped(character.charCodeAt(0)),
  );
}

function escaped(code: number): string {
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}
