/** How many files were sent because they are new or changed, and how many entries went because they are no more. */
export type CopyReport = { changed: number; deleted: number };

/** How far the sending is: bytes so far and in all, files that are seen to and in all. */
export type CopyProgress = { bytes: number; totalBytes: number; files: number; totalFiles: number };

/** As `--info=progress2` writes it: "  1,234,567  45%   12.34MB/s    0:00:03 (xfr#5, to-chk=10/20)". */
const progress = /^\s*([\d,.]+)\s+(\d{1,3})%\s+\S+\s+\S+(?:\s+\(xfr#\d+, (?:ir|to)-chk=(\d+)\/(\d+)\))?/;

/** Reads what rsync says while it goes on: a change a line (`--out-format=%i|%n`), and its progress. */
export class RsyncOutput {
  readonly report: CopyReport = { changed: 0, deleted: 0 };
  readonly #onProgress: (progress: CopyProgress) => void;
  #rest = "";

  constructor(onProgress: (progress: CopyProgress) => void = () => {}) {
    this.#onProgress = onProgress;
  }

  /** Progress ends with a carriage return, everything else with a line feed. */
  push(text: string): void {
    const lines = `${this.#rest}${text}`.split(/[\r\n]/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
  }

  #take(line: string): void {
    // Names of directories end with a slash; only files count.
    if (line.startsWith("*deleting")) this.report.deleted += line.endsWith("/") ? 0 : 1;
    else if (/^[<>ch][fL]\S{9}\|/.test(line)) this.report.changed += 1;
    else {
      const [, bytes, percent, left, all] = progress.exec(line) ?? [];
      if (bytes !== undefined) this.#tell(Number(bytes.replace(/\D/g, "")), Number(percent), left, all);
    }
  }

  #tell(bytes: number, percent: number, left: string | undefined, all: string | undefined): void {
    this.#onProgress({
      bytes,
      totalBytes: percent === 0 ? 0 : Math.round((bytes * 100) / percent),
      files: Number(all ?? 0) - Number(left ?? 0),
      totalFiles: Number(all ?? 0),
    });
  }
}
