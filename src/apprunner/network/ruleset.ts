/** Both ends belong to it. */
export type Span = Readonly<{ from: number; to: number }>;

/** What a table is made for. All numbers are whole and in range: firewall.ts sees to that. */
export type Rules = Readonly<{
  /** The users of this Maestro's apps. No rule touches what others do, but for its own leased ports. */
  uids: Span;
  /** The users of all Maestros' apps on this machine, these among them. */
  maestros: Span;
  /** Where leased ports come from. */
  ports: Span;
  openPorts: readonly number[];
  closedPorts: readonly number[];
  closedNetworks: readonly string[];
  /** Which app's user has which leased port. */
  owners: ReadonlyMap<number, number>;
}>;

/** A script that puts the table in the place of one that may be there, within one transaction. */
export function replaceTable(table: string, rules: Rules): string {
  return [deleteTable(table), `table inet ${table} {`, sets(rules), chains(rules), "}", ""].join("\n");
}

/** Deletes the table, if it is there. */
export function deleteTable(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}`;
}

export function addOwner(table: string, uid: number, port: number): string {
  return `add element inet ${table} owners { ${uid} . ${port} }\nadd element inet ${table} leased { ${port} }\n`;
}

export function deleteOwner(table: string, uid: number, port: number): string {
  return `delete element inet ${table} owners { ${uid} . ${port} }\ndelete element inet ${table} leased { ${port} }\n`;
}

export function replaceOpenPorts(table: string, ports: readonly number[]): string {
  const added = ports.length === 0 ? "" : `add element inet ${table} open { ${ports.join(", ")} }\n`;
  return `flush set inet ${table} open\n${added}`;
}

function sets({ openPorts, closedPorts, closedNetworks, owners }: Rules): string {
  const closed4 = closedNetworks.filter((network) => !network.includes(":"));
  const closed6 = closedNetworks.filter((network) => network.includes(":"));
  return [
    set("owners", "typeof meta skuid . tcp dport", pairs(owners)),
    set("leased", "type inet_service", [...owners.keys()]),
    set("open", "type inet_service", openPorts),
    set("closed", "type inet_service; flags interval; auto-merge", ["0-1023", ...closedPorts]),
    set("closed4", "type ipv4_addr; flags interval; auto-merge", closed4),
    set("closed6", "type ipv6_addr; flags interval; auto-merge", closed6),
    ...handshakes(4),
    ...handshakes(6),
    set("rates", "typeof meta skuid; size 65536; flags dynamic"),
  ].join("\n");
}

/**
 * Handshakes that apps began with a port of which only the listener can tell whose it is: `asked` by an app, `askers`
 * by which, `others` begun anew from the same client's port by somebody who is no app. An entry goes when the answer
 * has left; else with its time, which lasts until the client has repeated itself.
 */
function handshakes(family: Family): string[] {
  const to = ends(family, "to");
  const kept = "size 262144; flags dynamic, timeout; timeout 3s; gc-interval 2s";
  return [
    set(`asked${family}`, `typeof ${to}; ${kept}`),
    set(`askers${family}`, `typeof ${to} . meta skuid; ${kept}`),
    set(`others${family}`, `typeof ${to}; ${kept}`),
  ];
}

function set(name: string, form: string, elements: readonly (string | number)[] = []): string {
  const filled = elements.length === 0 ? "" : ` elements = { ${elements.join(", ")} };`;
  return `  set ${name} { ${form};${filled} }`;
}

function pairs(owners: ReadonlyMap<number, number>): string[] {
  return [...owners].map(([port, uid]) => `${uid} . ${port}`);
}

/**
 * Only the first two packets of a TCP connection are looked at, its SYN and its SYN-ACK. So a connection that stands
 * is never touched, whatever happens to the table; and nothing needs connection tracking, which would watch, and
 * limit, the connections of the whole machine.
 */
function chains(rules: Rules): string {
  const app = `meta skuid ${rules.uids.from}-${rules.uids.to}`;
  // An app of another Maestro has got its port from that one's table, which keeps it from all others.
  const others = `meta skuid ${rules.maestros.from}-${rules.maestros.to}`;
  return `
  chain input {
    type filter hook input priority filter; policy accept;
    iif != "lo" tcp dport @leased tcp flags & (syn | ack) == syn reject with tcp reset
  }
  chain output {
    type filter hook output priority filter; policy accept;
    tcp flags & (syn | rst) != syn accept
    tcp flags & (syn | ack) == (syn | ack) goto answer
    ${app} goto ask
    ${askAsOther(4)}
    ${askAsOther(6)}
  }
  chain ask {
    meta l4proto { tcp, udp } th dport 53 accept
    oif != "lo" goto ask_outside
    meta l4proto udp reject
    meta l4proto != tcp drop
    tcp dport @open accept
    meta skuid . tcp dport @owners accept
    tcp dport @leased reject with tcp reset
    tcp dport @closed reject with tcp reset
    tcp option fastopen exists reject with tcp reset
    add @rates { meta skuid limit rate over 2000/second burst 4000 packets } reject with tcp reset
${askUnknown(4)}
${askUnknown(6)}
    reject with tcp reset
  }
  chain ask_outside {
    ip daddr @closed4 goto refuse
    ip6 daddr @closed6 goto refuse
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain answer {
    tcp sport @leased goto answer_leased
    ${app} tcp sport @open reject with tcp reset
    ${app} tcp sport @closed reject with tcp reset
${refuseOthers(4, rules)}
${refuseOthers(6, rules)}
${answerAsked(4)}
${answerAsked(6)}
    ${app} tcp sport ${rules.ports.from}-${rules.ports.to} reject with tcp reset
  }
  chain answer_leased {
    meta skuid . tcp sport @owners accept
    meta skuid 0 accept
    ${app} reject with tcp reset
    ${others} accept
    reject with tcp reset
  }`;
}

type Family = 4 | 6;

/** The two ends of a connection, the client's first: of a packet `to` the listener, or `back` from it. */
function ends(family: Family, direction: "to" | "back"): string {
  const ip = family === 4 ? "ip" : "ip6";
  const [client, server] = direction === "to" ? ["s", "d"] : ["d", "s"];
  return `${ip} ${client}addr . tcp ${client}port . ${ip} ${server}addr . tcp ${server}port`;
}

/**
 * Lets the SYN go, and remembers who sent it. While one app's question is remembered, another app's from the very same
 * port waits: the answer to it could not be told from the answer to the first.
 */
function askUnknown(family: Family): string {
  const to = ends(family, "to");
  const remember = `update @askers${family} { ${to} . meta skuid } update @asked${family} { ${to} }`;
  return [
    `    ${to} @asked${family} ${to} . meta skuid != @askers${family} drop`,
    `    delete @others${family} { ${to} } ${remember} accept`,
  ].join("\n");
}

/**
 * On a port of the range that is nobody's an app answers itself alone: not the proxy either, which for a moment may not
 * have heard that the owner died, and may come from the very port from which the app has asked.
 */
function refuseOthers(family: Family, { uids, ports }: Rules): string {
  const app = `meta skuid ${uids.from}-${uids.to} tcp sport ${ports.from}-${ports.to}`;
  return `    ${app} ${ends(family, "back")} @others${family} reject with tcp reset`;
}

/** Who is no app must not inherit what an app asked from the port that it has now. */
function askAsOther(family: Family): string {
  const to = ends(family, "to");
  return `oif "lo" ${to} @asked${family} update @others${family} { ${to} }`;
}

/**
 * Who listens is the asker's own user, or the answer does not leave. The kernel keeps a handshake whose answer is lost
 * and repeats it, so that a listener's queue could be filled up by strangers: the reset clears it at once. The first
 * few in a second are turned into a refusal that the client sees; the others end by its own timeout.
 * A SYN cookie (tcp(7)) has no user, and is refused like a stranger's answer.
 */
function answerAsked(family: Family): string {
  const back = ends(family, "back");
  const asked = `${back} @asked${family}`;
  const forget = `delete @asked${family} { ${back} } delete @askers${family} { ${back} . meta skuid }`;
  return [
    `    ${back} @others${family} accept`,
    `    ${back} . meta skuid @askers${family} ${forget} accept`,
    `    ${asked} limit rate 2/second burst 2 packets tcp flags set rst | ack accept`,
    `    ${asked} reject with tcp reset`,
  ].join("\n");
}
