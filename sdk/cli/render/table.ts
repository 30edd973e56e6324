import { harmless, paint, type Screen, type Tone } from "./screen.ts";

export type Cell = string | { text: string; tone: Tone };

const textOf = (cell: Cell) => harmless(typeof cell === "string" ? cell : cell.text);

/** Rows under a heading, the columns aligned, a line each. Ends with a line feed. */
export function table(
  screen: Screen,
  heading: readonly string[],
  rows: readonly (readonly Cell[])[],
): string {
  const head = heading.map((text): Cell => ({ text, tone: "dim" }));
  const lines = [head, ...rows];
  const widths = heading.map((_, column) => Math.max(...lines.map((row) => widthOf(row[column] ?? ""))));
  return lines.map((row) => `${renderRow(screen, row, widths)}\n`).join("");
}

const widthOf = (cell: Cell) => [...textOf(cell)].length;

function renderRow(screen: Screen, row: readonly Cell[], widths: readonly number[]): string {
  const cells = row.map((cell, column) => {
    const padding = column === row.length - 1 ? 0 : (widths[column] ?? 0) - widthOf(cell);
    const text = textOf(cell);
    return (typeof cell === "string" ? text : paint(screen, cell.tone, text)) + " ".repeat(padding);
  });
  return cells.join("  ").trimEnd();
}

/** Names and values, a line each, the values aligned. */
export function facts(screen: Screen, pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value]) => `${paint(screen, "dim", name.padEnd(width))}  ${harmless(value)}\n`)
    .join("");
}
