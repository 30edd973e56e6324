/**
 * A word of a command line in a unit: systemd.syntax(7) "Quoting", with the specifiers (%) of systemd.unit(5) and
 * the variables ($) of systemd.service(5) "Command lines" taken literally.
 */
export function quoteArgument(word: string): string {
  return quoteWord(word.replaceAll("$", "$$$$"));
}

/** A word where nothing is put in for variables: the program itself, and lists such as RequiresMountsFor=. */
export function quoteWord(word: string): string {
  const escaped = escapeSpecifiers(word)
    .replace(/["\\]/g, "\\$&")
    .replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return /^[\w@%+=:,./$[\]-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

/** A value that is taken as it stands up to the end of its line, specifiers apart: EnvironmentFile=. */
export function escapeSpecifiers(value: string): string {
  return value.replaceAll("%", "%%");
}
