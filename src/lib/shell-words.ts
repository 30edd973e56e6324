/**
 * A word as a POSIX shell reads it back: within single quotes only the quote itself means anything. Throws for a NUL,
 * which no word of a command can hold.
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_02_02
 */
export function quoted(word: string): string {
  if (word.includes("\0")) throw new TypeError("a word of a command holds a NUL character");
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
