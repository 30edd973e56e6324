import { begin } from "../support/one-off.ts";

/** A controller that starts a one-off program and then does nothing. Its arguments: the command. */
const { stdout } = await begin(process.argv.slice(2));
stdout.pipe(process.stdout);
