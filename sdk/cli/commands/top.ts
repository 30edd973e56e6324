import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { TrafficReport } from "../../../src/app/traffic.ts";
import type { Session } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { renderTop } from "../render/top.ts";
import { examples } from "./example.ts";
import { wholeNumber } from "./logs.ts";

/** q and Q; Ctrl-C and Ctrl-D, which are keys like any other in raw mode. */
const leavingKeys = new Set([0x71, 0x51, 0x03, 0x04]);

type TopFlags = { interval?: number; times?: number };

export function addTopCommand(program: Command, line: CommandLine): void {
  program
    .command("top")
    .summary("show live what the proxy does for each app")
    .description(
      "Shows what the proxy does for each app, refreshed in place; q or Ctrl-C ends it.\n" +
        "Without a terminal it prints what went on in one interval, and ends; with --times, so often.",
    )
    .argument("[app]", "only this app")
    .option("--interval <seconds>", "how often it is refreshed (default: 1)", wholeNumber)
    .option("-n, --times <n>", "how often before it ends", wholeNumber)
    .addHelpText("after", examples("maestro top", "maestro top shop --interval 5 --json -n 3"))
    .action((app: string | undefined, flags: TopFlags) => top(line, app, flags));
}

async function top(
  line: CommandLine,
  app: string | undefined,
  { interval = 1, times }: TopFlags,
): Promise<void> {
  const { console } = line.parts.terminal;
  const isLive = console.isTerminal && !line.json;
  const asked = {
    intervalMs: Math.max(1, interval) * 1000,
    times: times ?? (isLive ? Number.POSITIVE_INFINITY : 1),
  };
  await line.withServer((session) =>
    line.interruptible(async (interrupted) => {
      if (!isLive) return follow(session, app, asked, interrupted, (before, now) => show(line, before, now));
      using canvas = new Canvas(line, interrupted);
      const { ended } = canvas;
      await follow(session, app, asked, ended, (before, now) => canvas.draw(before, now)).catch((error) => {
        if (!ended.aborted) throw error; // It is left in no other way.
      });
    }),
  );
}

async function follow(
  session: Session,
  app: string | undefined,
  { intervalMs, times }: { intervalMs: number; times: number },
  signal: AbortSignal,
  onInterval: (before: TrafficReport, now: TrafficReport) => void,
): Promise<void> {
  const ask = () => session.call("traffic", app === undefined ? {} : { app }, { signal, repeat: true });
  let before = await ask();
  for (let time = 0; time < times; time += 1) {
    await pause(intervalMs, undefined, { signal });
    const now = await ask();
    onInterval(before, now);
    before = now;
  }
}

function show(line: CommandLine, before: TrafficReport, now: TrafficReport): void {
  line.print(now, (report, screen) => renderTop(before, report, screen));
}

/** The terminal's other screen, which is gone again with all that was drawn on it. */
class Canvas implements Disposable {
  readonly #line: CommandLine;
  readonly #ended = new AbortController();
  readonly #restore: () => void;

  constructor(line: CommandLine, interrupted: AbortSignal) {
    this.#line = line;
    const { console } = line.parts.terminal;
    interrupted.addEventListener("abort", () => this.#ended.abort(), { signal: this.#ended.signal });
    this.#restore = console.raw();
    this.#write("\u001b[?1049h\u001b[?25l");
    void this.#watchKeys();
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Lines that do not fit are cut off: one that went on in the next would move all below it. */
  draw(before: TrafficReport, now: TrafficReport): void {
    const { columns, rows } = this.#line.parts.terminal.console.size;
    const text = renderTop(before, now, { ...this.#line.screen, color: false });
    const lines = text.split("\n").slice(0, rows - 2);
    const shown = lines.map((one) => `${[...one].slice(0, columns).join("")}\u001b[K`);
    this.#write(`\u001b[H${shown.join("\r\n")}\r\nq ends\u001b[K\u001b[J`);
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#write("\u001b[?25h\u001b[?1049l");
    this.#restore();
  }

  async #watchKeys(): Promise<void> {
    for await (const keys of this.#line.parts.terminal.console.input(this.#ended.signal)) {
      if (keys.some((key) => leavingKeys.has(key))) break;
    }
    this.#ended.abort();
  }

  #write(text: string): void {
    void this.#line.parts.terminal.console.write("stdout", Buffer.from(text));
  }
}
