import { z } from "zod";
import { readJsonFile } from "./source-file.ts";

const mostBytes = 1024 * 1024;

const PackageJson = z.object({
  scripts: z.object({ start: z.string().optional(), prestart: z.string().optional() }).default({}),
  engines: z.object({ node: z.string().optional() }).optional(),
});

/** What of package.json matters for a start. `start`: null when there is no start script. */
export type PackageFacts = { start: string | null; notes: string[] };

/** Throws `BAD_INPUT` for a package.json that does not parse. */
export async function readPackageJson(directory: string): Promise<PackageFacts> {
  const found = await readJsonFile(directory, "package.json", { schema: PackageJson, mostBytes });
  if (found === null) return { start: null, notes: [] };
  const { start = "", prestart } = found.scripts;
  const notes: string[] = [];
  if (start.trim() !== "" && prestart !== undefined) {
    notes.push("package.json's prestart is not run: Maestro runs the start line itself, not npm");
  }
  const wanted = found.engines?.node;
  if (wanted !== undefined && !isServedBy(wanted, Number(process.versions.node.split(".")[0]))) {
    notes.push(
      `package.json asks for Node ${wanted}, which is not acted on yet: it runs on ${process.version}`,
    );
  }
  return { start: start.trim() === "" ? null : start.trim(), notes };
}

/** Whether a range is plainly met by a major version; false for what would take a parser of ranges to tell. */
function isServedBy(range: string, major: number): boolean {
  const match = /^(>=|\^|~)?\s*v?(\d+)(?:\.(?:\d+|x|\*)){0,2}$/.exec(range.trim());
  if (match === null) return range.trim() === "*";
  return match[1] === ">=" ? Number(match[2]) <= major : Number(match[2]) === major;
}
