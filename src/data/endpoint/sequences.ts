import { Transform } from "node:stream";

/** The two homes of a database. */
export type Side = "local" | "remote";

/* A sequence means something to the server alone that gave it. What an app sees is marked with its origin: `l~12`. */

const marks: Record<Side, string> = { local: "l", remote: "r" };

export const markSequence = (side: Side, seq: string) => `${marks[side]}~${seq}`;

const unquoted = (text: string) => text.replace(/^"(.*)"$/s, "$1");

/** A sequence as an app gives it back. One without a mark comes from a time when there was one home only. */
export function readSequence(text: string): { side: Side | null; seq: string } {
  const plain = unquoted(text);
  if (plain === "0" || plain === "now") return { side: null, seq: plain };
  const match = /^([lr])~(.*)$/s.exec(plain);
  if (!match) return { side: "local", seq: plain };
  return { side: match[1] === "l" ? "local" : "remote", seq: match[2] ?? "" };
}

const inRow = /^(,?\{"seq":)("(?:[^"\\]|\\.)*"|\d+)/;
const atEnd = /("last_seq":)("(?:[^"\\]|\\.)*"|\d+)/;
const inEvent = /^(id: ?)(.*)$/;

/** Marks the sequences of a feed: CouchDB writes one change a line, and begins it with its sequence. */
export function markFeed(side: Side, onSequence: (marked: string) => void = () => {}): Transform {
  let rest = "";
  const mark = (_: string, before: string, seq: string) => {
    const marked = markSequence(side, unquoted(seq));
    onSequence(marked);
    return `${before}${before.startsWith("id") ? marked : JSON.stringify(marked)}`;
  };
  const line = (text: string) => {
    if (inRow.test(text)) return text.replace(inRow, mark);
    if (text.startsWith("data: ")) return `data: ${text.slice(6).replace(inRow, mark)}`;
    if (inEvent.test(text)) return text.replace(inEvent, mark);
    return text.startsWith('"last_seq"') || text.startsWith('{"last_seq"') ? text.replace(atEnd, mark) : text;
  };
  return new Transform({
    decodeStrings: true,
    transform(chunk: Buffer, _encoding, done) {
      const lines = (rest + chunk.toString("latin1")).split("\n");
      rest = lines.pop() ?? "";
      done(null, Buffer.from(lines.map((text) => `${line(text)}\n`).join(""), "latin1"));
    },
    flush(done) {
      done(null, Buffer.from(line(rest), "latin1"));
    },
  });
}

const inDocument = /("update_seq":)("(?:[^"\\]|\\.)*"|\d+)/;

const beforeRows = '"rows":';

/** Marks the one sequence that information about a database, or a page of documents before its rows, carries. */
export function markUpdateSequence(side: Side, json: string): string {
  const rows = json.indexOf(beforeRows);
  const head = rows < 0 ? json : json.slice(0, rows);
  const mark = (_: string, name: string, seq: string) =>
    `${name}${JSON.stringify(markSequence(side, unquoted(seq)))}`;
  return head.replace(inDocument, mark) + json.slice(head.length);
}

/** What a page says before its rows is shorter, bytes. */
const mostHead = 16 * 1024;

/** The same for a page that comes in parts. */
export function markPage(side: Side): Transform {
  let head = "";
  let isPast = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (isPast) return done(null, chunk);
      head += chunk.toString("latin1");
      if (head.length < mostHead && !head.includes(beforeRows)) return done();
      isPast = true;
      done(null, Buffer.from(markUpdateSequence(side, head), "latin1"));
    },
    flush(done) {
      if (isPast) done();
      else done(null, Buffer.from(markUpdateSequence(side, head), "latin1"));
    },
  });
}
