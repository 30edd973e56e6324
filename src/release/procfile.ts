import { badFile } from "./source-file.ts";

/** As in the names of Heroku's Procfile; `__proto__` would be lost in an object. */
const processType = /^(?!__proto__$)[A-Za-z0-9_-]{1,63}$/;

/**
 * Start lines by process type, in the order of the file: `TYPE: LINE`, blank lines and lines that begin with `#`
 * aside (https://devcenter.heroku.com/articles/procfile). Throws `BAD_INPUT` that names the line that is wrong,
 * also when there is nothing that stays running.
 */
export function parseProcfile(text: string): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const wrong = (what: string) => badFile("Procfile", `line ${index + 1} ${what}`, { line: index + 1 });
    const colon = line.indexOf(":");
    if (colon === -1) throw wrong('is not "TYPE: COMMAND"');
    const type = line.slice(0, colon).trimEnd();
    const command = line.slice(colon + 1).trim();
    if (!processType.test(type))
      throw wrong(`names a process ${JSON.stringify(type)}; use A-Z, a-z, 0-9, _ and -`);
    if (command === "") throw wrong(`gives no command for ${type}`);
    if (command.includes("\0")) throw wrong("has a NUL character in it");
    if (lines.has(type)) throw wrong(`declares ${type} a second time`);
    lines.set(type, command);
  }
  if ([...lines.keys()].every((type) => type === "release")) {
    throw badFile("Procfile", "declares no process to run; write for example: web: node server.js");
  }
  return lines;
}
