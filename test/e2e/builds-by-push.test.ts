import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { nodeProject, project } from "../support/project.ts";
import { SshWorld } from "../support/ssh-world.ts";
import type { Developer, Ran } from "../support/sshd.ts";

let world: SshWorld;
let alice: Developer;
beforeAll(async () => {
  world = await SshWorld.start("--stream-drain", "0", "--warm", "0");
  alice = await world.developer("alice", "shop", "snake", "site", "sent");
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const served = async (app: string) => (await fetchFrom(world.maestro.httpPort, `${app}.localhost`)).body;

async function push(app: string, directory: string): Promise<Ran> {
  await world.git(alice, directory, "init", "--quiet", "--initial-branch", "main");
  await world.git(alice, directory, "add", "--all", "--force");
  await world.git(alice, directory, "commit", "--quiet", "--message", "a change");
  return world.git(alice, directory, "push", world.repository(app), "main");
}

describe("git push of what has to be built", () => {
  it("builds a project of Node and shows what it does; a build that fails refuses the push, and what served goes on", async () => {
    const directory = nodeProject();
    const first = await push("shop", directory);
    expect(first, first.stderr).toMatchObject({ code: 0 });
    expect(first.stderr).toMatch(/remote: -----> Installing dependencies with npm \d/);
    expect(first.stderr).toMatch(/remote: -----> Building: npm run build/);
    expect(first.stderr).toMatch(/remote: {8}compiling as \d+/);
    expect(first.stderr).toMatch(/remote: -----> Built \(\d+ ms\)/);
    expect(JSON.parse(await served("shop"))).toMatchObject({ version: "first", pinned: false });

    await writeFile(join(directory, "version.txt"), "second");
    const second = await push("shop", directory);
    expect(second.stderr).not.toContain("Installing");
    expect(JSON.parse(await served("shop"))).toMatchObject({ version: "second" });

    await writeFile(join(directory, "compile.js"), "console.error('no such color'); process.exit(3);");
    const failed = await push("shop", directory);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(
      /remote: -----> Refused: shop could not be built: "Building: npm run build" exited with code 3/,
    );
    expect(failed.stderr).toMatch(/remote: {8}no such color/);
    expect(failed.stderr).toContain("pre-receive hook declined");
    expect(JSON.parse(await served("shop"))).toMatchObject({ version: "second" });
  });

  it("builds a project of Python", async () => {
    const directory = project({
      Procfile: "web: python -m http.server $PORT --bind 127.0.0.1\n",
      "requirements.txt": "# nothing yet\n",
      "index.html": "of Python",
      "server.py": "",
    });
    const pushed = await push("snake", directory);
    expect(pushed, pushed.stderr).toMatchObject({ code: 0 });
    expect(pushed.stderr).toMatch(/remote: -----> Making an environment of Python 3/);
    expect(await served("snake")).toBe("of Python");
  });

  it("builds a site and serves its directory; without a build script it is served as it is", async () => {
    const built = project({
      "package.json": JSON.stringify({ scripts: { build: "node make.js" }, maestro: { static: "out" } }),
      "make.js":
        "const fs = require('fs'); fs.mkdirSync('out'); fs.writeFileSync('out/index.html', 'built');",
    });
    const pushed = await push("site", built);
    expect(pushed, pushed.stderr).toMatchObject({ code: 0 });
    expect(await served("site")).toBe("built");
    const plain = project({ "index.html": "plain" });
    const refused = await push("site", plain);
    expect(refused.stderr).toContain("rejected");
    await world.git(alice, plain, "push", "--force", world.repository("site"), "main");
    expect(await served("site")).toBe("plain");
  });
});

describe("maestro deploy over SSH", () => {
  it("leaves node_modules here, and the server installs them", async () => {
    const directory = nodeProject({
      "node_modules/greet/index.js": "export const greet = 'sent';\n",
      "node_modules/greet/package.json": JSON.stringify({
        name: "greet",
        type: "module",
        exports: "./index.js",
      }),
      ".env": "SECRET=1",
    });
    const deployed = await world.deploy(alice, directory, "--app", "sent");
    expect(deployed, deployed.stderr).toMatchObject({ code: 0 });
    expect(deployed.stderr).toMatch(/Installing dependencies with npm/);
    expect(JSON.parse(await served("sent"))).toMatchObject({ greet: "greet 1.0.0" });
    expect(await readdir(world.incoming("sent"))).not.toEqual(expect.arrayContaining([".env"]));

    const scripts = { start: "node server.js" };
    await writeFile(
      join(directory, "package.json"),
      JSON.stringify({ name: "sent", type: "module", scripts, dependencies: { greet: "*" } }),
    );
    const asked = await world.deploy(alice, directory, "--app", "sent", "--include", "node_modules");
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    expect(asked.stderr).not.toContain("Installing");
    expect(JSON.parse(await served("sent"))).toMatchObject({ greet: "sent" });
  });
});
