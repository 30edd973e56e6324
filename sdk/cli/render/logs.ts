import type { LogLine } from "../../../src/app/reports.ts";
import { harmless, paint, type Screen } from "./screen.ts";
import { clock } from "./time.ts";

/** A line of an app's output behind its time and the instance that wrote it; `!` marks standard error. */
export function renderLogLine({ instance, release, stream, text, at }: LogLine, screen: Screen): string {
  const time = at === undefined ? "" : `${clock(at, screen.now)} `;
  const mark = stream === "stderr" ? paint(screen, "bad", "!") : " ";
  const from = paint(screen, "dim", `${time}v${release} ${harmless(instance)}`);
  return `${from}${mark} ${screen.terminal ? harmless(text.replace(/\r$/, "")) : text}\n`;
}
