import { posix } from "node:path";
import { z } from "zod";

/** `"maestro": { "static": "dist" }`: the directory with the files that are served, inside of what was sent or built. */
export const StaticDirectory = z
  .string()
  .min(1)
  .transform((path) => posix.normalize(path).replace(/\/$/, ""))
  .refine(
    (path) => !path.startsWith("/") && path !== ".." && !path.startsWith("../"),
    'not a directory of the project; write for example "dist"',
  );
