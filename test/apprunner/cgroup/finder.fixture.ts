import { openCgroups } from "../../../src/apprunner/cgroup/open.ts";

/** Stands for a later controller: finds the group that it is told of, says who is in it, and ends it. */
const [id = "", key = ""] = process.argv.slice(2);
const group = openCgroups(id).cgroups?.find(key);
const processes = group?.processes();
await group?.kill();
await group?.remove();
process.stdout.write(JSON.stringify({ found: group !== undefined && group !== null, processes }));
