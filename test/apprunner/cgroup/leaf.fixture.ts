import { readFileSync } from "node:fs";
import { handOn } from "../../../src/apprunner/cgroup/delegation.ts";

/** Stands for a Maestro in a group of v2: hands a controller on, and says what came of it and where it is then. */
const [controller = "", group = "", name = ""] = process.argv.slice(2);
const obstacle = handOn(controller, group, name);
const again = handOn(controller, group, name);
const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
process.stdout.write(JSON.stringify({ obstacle, again, own }));
