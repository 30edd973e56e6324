import { openHost } from "../../src/apprunner/host.ts";
import { launch } from "../../src/apprunner/launch.ts";

/** Stands for a controller: starts the instance that it is given as JSON, says so, and stays until it is killed. */
const { spec, home, level } = JSON.parse(process.argv[2] ?? "");
const { pid } = await launch(spec, await openHost({ home, atMost: level }));
setInterval(() => {}, 60_000);
process.stdout.write(`${pid}\n`);
