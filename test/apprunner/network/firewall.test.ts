import { execFile, execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Firewall } from "../../../src/apprunner/network/firewall.ts";
import type { FirewallOptions } from "../../../src/apprunner/network/options.ts";
import { Tenant } from "../../support/tenant.ts";

const run = promisify(execFile);

/** Users and ports of this run alone: the table of one that was killed must not be in the way of the next. */
const firstUid = 1_980_000_000 + (process.pid % 10_000) * 200;
const firstPort = 10_000 + (process.pid % 30) * 300;
const [openPort, closedPort] = [firstPort, firstPort + 1];
const options: FirewallOptions = {
  id: `test_${process.pid}`,
  uids: { from: firstUid, to: firstUid + 99 },
  maestros: { from: firstUid, to: firstUid + 199 },
  ports: { from: firstPort + 10, to: firstPort + 299 },
  openPorts: [openPort],
  closedPorts: [closedPort],
};
const [ownerUid, neighbourUid] = [firstUid + 1, firstUid + 2];
/** An app of another Maestro, and somebody who has an account on the machine. */
const [foreignUid, accountUid] = [firstUid + 101, 29_777];
/** Another one in each test, and the one above it: what a test leaves in the kernel is not in the way of the next. */
let leased = firstPort + 10;

let scope: AsyncDisposableStack;
let firewall: Firewall;
let owner: Tenant;
let neighbour: Tenant;
let proxy: Tenant;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  leased += 2;
  firewall = await Firewall.open(options);
  scope.defer(() => firewall.close());
  [owner, neighbour, proxy] = await Promise.all([start(ownerUid), start(neighbourUid), start(0)]);
});

afterEach(() => scope.disposeAsync());

async function start(uid: number): Promise<Tenant> {
  return scope.use(await Tenant.start(uid));
}

/** The table of another Maestro on this machine. */
async function another(): Promise<Firewall> {
  const uids = { from: firstUid + 100, to: firstUid + 199 };
  const other = await Firewall.open({ ...options, id: `${options.id}_other`, uids });
  scope.defer(() => other.close());
  return other;
}

it("tells of another table that rules over the same users, and of no other", async () => {
  await another();
  expect(await firewall.rivals()).toEqual([]);
  const rival = await Firewall.open({ ...options, id: `${options.id}_rival` });
  scope.defer(() => rival.close());
  expect(await firewall.rivals()).toEqual([rival.table]);
  expect(await rival.rivals()).toEqual([firewall.table]);
});

const machinesOwnAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

const addresses = ["127.0.0.1", "::1", ...(machinesOwnAddress === undefined ? [] : [machinesOwnAddress])];

describe.each(addresses)("an app that connects to %s", (host) => {
  it("reaches the ports that are open to all", async () => {
    await proxy.listen({ host, port: openPort });
    expect(await owner.connect({ host, port: openPort })).toBe("answered by 0");
  });

  it("reaches its own leased port", async () => {
    await firewall.own(ownerUid, leased);
    await owner.listen({ host, port: leased });
    expect(await owner.connect({ host, port: leased })).toBe(`answered by ${ownerUid}`);
  });

  it("reaches what it has started itself, on a port of its own choice", async () => {
    const sibling = await start(ownerUid);
    const port = await sibling.listen({ host, port: 0 });
    const outcomes = [];
    for (let i = 0; i < 10; i += 1) outcomes.push(await owner.connect({ host, port }));
    expect(outcomes).toEqual(Array(10).fill(`answered by ${ownerUid}`));
  });

  it("is refused by a neighbour's leased port", async () => {
    await firewall.own(ownerUid, leased);
    await owner.listen({ host, port: leased });
    expect(await neighbour.connect({ host, port: leased })).toBe("ECONNREFUSED");
    expect(await owner.accepted()).toBe(0);
  });

  it("never gets through to a port that a neighbour chose, however often it tries", async () => {
    const port = await neighbour.listen({ host, port: 0 });
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => owner.connect({ host, port })));
    expect(outcomes.filter((outcome) => outcome !== "ECONNREFUSED" && outcome !== "no answer")).toEqual([]);
    expect(outcomes).toContain("ECONNREFUSED"); // the first hear of it at once
    expect(await neighbour.accepted()).toBe(0);
    expect(await neighbour.connect({ host, port })).toBe(`answered by ${neighbourUid}`);
  });

  it("is refused by what others of the machine listen on", async () => {
    const account = await start(accountUid);
    const port = await account.listen({ host, port: 0 });
    expect(await owner.connect({ host, port })).toBe("ECONNREFUSED");
    expect(await account.accepted()).toBe(0);
  });

  it("is refused by Maestro's own ports, and those below 1024", async () => {
    await proxy.listen({ host, port: closedPort });
    await proxy.listen({ host, port: 977 });
    expect(await owner.connect({ host, port: closedPort })).toBe("ECONNREFUSED");
    expect(await owner.connect({ host, port: 977 })).toBe("ECONNREFUSED");
    expect(await proxy.accepted()).toBe(0);
  });

  it("is refused where nobody listens, at once", async () => {
    const port = await neighbour.listen({ host, port: 0 });
    await neighbour.unlisten({ host, port });
    expect(await owner.connect({ host, port })).toBe("ECONNREFUSED");
  });
});

describe("an app", () => {
  it("reaches a resolver on loopback, by UDP and by TCP", async () => {
    const udp = createSocket("udp4").on("message", (message, from) =>
      udp.send(message, from.port, from.address),
    );
    udp.bind(53, "127.0.0.153");
    scope.defer(async () => void udp.close());
    await once(udp, "listening");
    await proxy.listen({ host: "127.0.0.153", port: 53 });
    expect(await owner.datagram({ host: "127.0.0.153", port: 53 })).toBe("answered");
    expect(await owner.connect({ host: "127.0.0.153", port: 53 })).toBe("answered by 0");
  });

  it("is refused any other UDP on loopback", async () => {
    const udp = createSocket("udp4").bind(0, "127.0.0.1");
    scope.defer(async () => void udp.close());
    let received = 0;
    udp.on("message", () => {
      received += 1;
    });
    await once(udp, "listening");
    expect(await owner.datagram({ port: udp.address().port })).toBe("ECONNREFUSED");
    expect(received).toBe(0);
  });

  it("is refused the cloud's metadata and what is link-local, at once", async () => {
    expect(await owner.connect({ host: "169.254.169.254", port: 80 })).toBe("ECONNREFUSED");
    expect(await owner.connect({ host: "fd00:ec2::254", port: 80 })).toBe("ECONNREFUSED");
    expect(await owner.datagram({ host: "169.254.169.254", port: 123 })).toMatch(/^E[A-Z]+$/);
  });

  it("reaches a port once it is opened, and not once it is closed again", async () => {
    const port = await proxy.listen({ port: 0 });
    await firewall.setOpenPorts([openPort, port]);
    expect(await owner.connect({ port })).toBe("answered by 0");
    await firewall.setOpenPorts([]);
    expect(await owner.connect({ port })).toBe("ECONNREFUSED");
  });

  it("does not stand in for the proxy or Maestro, when these are away", async () => {
    await owner.listen({ port: openPort });
    await owner.listen({ port: closedPort });
    expect(await proxy.connect({ port: openPort })).toBe("no answer");
    expect(await proxy.connect({ port: closedPort })).toBe("no answer");
    expect(await owner.accepted()).toBe(0);
  });
});

describe("a leased port", () => {
  beforeEach(() => firewall.own(ownerUid, leased));

  it("is answered by its owner, to the proxy and to others of the machine", async () => {
    const account = await start(accountUid);
    await owner.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${ownerUid}`);
    expect(await account.connect({ port: leased })).toBe(`answered by ${ownerUid}`);
  });

  it("is answered by nobody when a neighbour was quicker, and by its owner when that one comes back", async () => {
    await owner.listen({ port: leased });
    await owner[Symbol.asyncDispose]();
    await neighbour.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe("no answer");
    expect(await neighbour.accepted()).toBe(0);
    await neighbour[Symbol.asyncDispose]();
    const back = await start(ownerUid);
    await back.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${ownerUid}`);
  });

  it.each([
    ["an app of another Maestro", foreignUid],
    ["an account of the machine", accountUid],
  ])("is not answered by %s", async (_, uid) => {
    await another();
    const thief = await start(uid);
    await thief.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe("no answer");
    expect(await thief.accepted()).toBe(0);
  });

  it("is not answered by a neighbour on another address of loopback either", async () => {
    await owner.listen({ port: leased });
    await neighbour.listen({ host: "127.0.0.2", port: leased });
    await neighbour.listen({ host: "::1", port: leased });
    expect(await proxy.connect({ host: "127.0.0.2", port: leased })).toBe("no answer");
    expect(await proxy.connect({ host: "::1", port: leased })).toBe("no answer");
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${ownerUid}`);
  });

  it("is not answered by a thief whose queue is full, when the kernel takes to SYN cookies", async () => {
    const listen = `use Socket; socket(S, AF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in($ARGV[0], INADDR_LOOPBACK))
      or die $!; listen(S, 1); syswrite STDOUT, "listening"; accept(C, S) && syswrite STDOUT, "accepted"; sleep`;
    const identity = ["--reuid", String(neighbourUid), "--regid", String(neighbourUid), "--clear-groups"];
    const thief = execFile("setpriv", [...identity, "perl", "-e", listen, String(leased)]);
    scope.defer(async () => void thief.kill("SIGKILL"));
    let said = "";
    thief.stdout?.on("data", (chunk) => {
      said += chunk;
    });
    if (thief.stdout) await once(thief.stdout, "data");
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => proxy.connect({ port: leased })));
    expect(outcomes).toEqual(Array(20).fill("no answer"));
    expect(said).toBe("listening");
  });

  it("belongs to whom it is given last", async () => {
    await firewall.own(neighbourUid, leased);
    await firewall.disown(ownerUid, leased); // too late to matter
    expect([...firewall.owners]).toEqual([[leased, neighbourUid]]);
    await neighbour.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${neighbourUid}`);
  });

  it("is given back when it is none of those that are in use", async () => {
    await firewall.own(ownerUid, leased + 1);
    await firewall.disownAllBut([leased + 1, null]);
    expect([...firewall.owners]).toEqual([[leased + 1, ownerUid]]);
    const account = await start(accountUid);
    await account.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${accountUid}`);
  });

  it("can be given and given back more than once", async () => {
    await firewall.own(ownerUid, leased);
    await firewall.disown(ownerUid, leased);
    await firewall.disown(ownerUid, leased);
    const account = await start(accountUid);
    await account.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${accountUid}`);
  });
});

describe("what is not Maestro's", () => {
  it("is left alone in Maestro's port range: only its own apps do not answer there", async () => {
    const account = await start(accountUid);
    await account.listen({ port: leased });
    await owner.listen({ port: leased + 1 });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${accountUid}`);
    expect(await proxy.connect({ port: leased + 1 })).toBe("no answer");
  });

  it("is left alone elsewhere: accounts reach each other, and what apps opened outside of the range", async () => {
    const account = await start(accountUid);
    const [theirs, own] = [await account.listen({ port: 0 }), await owner.listen({ port: 0 })];
    expect(await proxy.connect({ port: theirs })).toBe(`answered by ${accountUid}`);
    expect(await account.connect({ port: own })).toBe(`answered by ${ownerUid}`);
  });

  it("is another Maestro: each guards its own, and both stand side by side", async () => {
    const other = await another();
    const foreign = await start(foreignUid);
    await firewall.own(ownerUid, leased);
    await other.own(foreignUid, leased + 1);
    await owner.listen({ port: leased });
    await foreign.listen({ port: leased + 1 });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${ownerUid}`);
    expect(await proxy.connect({ port: leased + 1 })).toBe(`answered by ${foreignUid}`);
    expect(await owner.connect({ port: leased + 1 })).toBe("ECONNREFUSED");
    expect(await foreign.connect({ port: leased })).toBe("ECONNREFUSED");
  });

  it("is another Maestro, also where this one still has an owner for a port of which it is known to nobody", async () => {
    const other = await another();
    const foreign = await start(foreignUid);
    await firewall.own(ownerUid, leased);
    await other.own(foreignUid, leased);
    await foreign.listen({ port: leased });
    expect(await proxy.connect({ port: leased })).toBe(`answered by ${foreignUid}`);
  });
});

describe("the table", () => {
  it("is taken over by a next controller with its owners, and cuts nothing off", async () => {
    await firewall.own(ownerUid, leased);
    await owner.listen({ port: leased });
    const standing = connect(leased, "127.0.0.1");
    scope.defer(async () => void standing.destroy());
    await once(standing, "data");

    for (let i = 0; i < 5; i += 1) {
      const [next, outcome, theft] = await Promise.all([
        Firewall.open(options, { keep: true }),
        proxy.connect({ port: leased }),
        neighbour.connect({ port: leased }),
      ]);
      expect([...next.owners]).toEqual([[leased, ownerUid]]);
      expect(outcome).toBe(`answered by ${ownerUid}`);
      expect(theft).toBe("ECONNREFUSED");
    }
    standing.write("still there");
    expect(String((await once(standing, "data"))[0])).toBe("still there");
  });

  it("forgets the owners of an earlier controller when it is not asked to keep them", async () => {
    await firewall.own(ownerUid, leased);
    expect([...(await Firewall.open(options)).owners]).toEqual([]);
  });

  it("comes back whole with the next change, when somebody has removed it", async () => {
    await firewall.own(ownerUid, leased);
    execFileSync("nft", ["delete", "table", "inet", firewall.table]);
    await firewall.own(neighbourUid, leased + 1);
    await owner.listen({ port: leased });
    expect(await neighbour.connect({ port: leased })).toBe("ECONNREFUSED");
    expect(await owner.connect({ port: leased })).toBe(`answered by ${ownerUid}`);
  });

  it("comes back when it is looked for", async () => {
    expect(await firewall.restore()).toBe(false);
    execFileSync("nft", ["delete", "table", "inet", firewall.table]);
    expect(await firewall.restore()).toBe(true);
    expect(await firewall.restore()).toBe(false);
  });

  it("is gone once it is closed, also twice", async () => {
    await firewall.close();
    await firewall.close();
    const { stdout } = await run("nft", ["list", "tables"]);
    expect(stdout).not.toContain(firewall.table);
    const port = await neighbour.listen({ port: 0 });
    expect(await owner.connect({ port })).toBe(`answered by ${neighbourUid}`);
  });

  it("is refused with a reason for users, ports, networks and names that are none", async () => {
    const refused = expect.objectContaining({ code: "BAD_INPUT" });
    const wrong: Partial<FirewallOptions>[] = [
      { id: "x; flush ruleset" },
      { uids: { from: 0, to: 5 } },
      { uids: { from: 7, to: 5 } },
      { ports: { from: 1, to: 65_536 } },
      { openPorts: [1.5] },
      { closedPorts: [-1] },
      { closedNetworks: ["10.0.0.0/33"] },
      { closedNetworks: ["any } drop"] },
    ];
    for (const change of wrong) {
      await expect(Firewall.open({ ...options, ...change })).rejects.toEqual(refused);
    }
    await expect(firewall.own(0, leased)).rejects.toEqual(refused);
    await expect(firewall.own(ownerUid, 0)).rejects.toEqual(refused);
    await expect(firewall.setOpenPorts([70_000])).rejects.toEqual(refused);
  });
});

describe("the probe", () => {
  it("finds that the kernel takes the table, and leaves nothing behind", async () => {
    expect(await Firewall.probe()).toBeNull();
    const { stdout } = await run("nft", ["list", "tables"]);
    expect(stdout).not.toContain("maestro_probe");
  });

  it("says what is missing to who is not root", async () => {
    const source = new URL("../../../src/apprunner/network/firewall.ts", import.meta.url).href;
    const ask = `console.log(await (await import(${JSON.stringify(source)})).Firewall.probe())`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", ask], { uid: accountUid });
    expect(stdout).toContain("only root");
  });
});

it("an app that asked from the very port of a client does not answer that client on a port that nobody owns", async () => {
  const localPort = await neighbour.listen({ port: 0 });
  await neighbour.unlisten({ port: localPort });
  // What it asked is remembered for a while; then the proxy, which has not heard of the owner's death, comes from there.
  expect(await neighbour.connect({ port: leased, localPort })).toBe("ECONNREFUSED");
  await neighbour.listen({ port: leased });
  expect(await proxy.connect({ port: leased, localPort })).toMatch(/^(ECONNREFUSED|no answer)$/);
  expect(await neighbour.accepted()).toBe(0);
});

it("a table that was closed is brought back by no later look or change", async () => {
  await firewall.own(ownerUid, leased);
  await firewall.close();
  await firewall.disown(ownerUid, leased);
  expect(await firewall.restore()).toBe(false);
  const { stdout } = await run("nft", ["list", "tables"]);
  expect(stdout).not.toContain(firewall.table);
});
