import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Account, Accounts } from "../../src/data/accounts.ts";
import { ensureServerSecrets } from "../../src/data/secrets.ts";
import { connectChannel } from "../../src/lib/channel.ts";
import { type EndpointSettings, endpointExchanges } from "../../src/protocol/data.ts";
import { basic } from "./data.ts";
import { spawnEndpoint } from "./data-endpoint.ts";
import { freePort } from "./free-port.ts";

/** A request as the server got it, byte by byte. */
export type Received = { line: string; head: string; body: string };
/** Writes an answer, or does something else to the connection. */
type Script = (request: Received, socket: Socket) => void;

export const ok = (json: string, more = ""): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${more}Content-Length: ${json.length}\r\n\r\n${json}`;

/** A server that says what a test wants, letter by letter, where the endpoint takes it for a CouchDB. It is always up. */
export class ScriptedCouch implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly account: Account;
  readonly port: number;
  readonly #server: Server;
  readonly #directory: string;
  readonly #settings: EndpointSettings;
  readonly #endpoint: { end(): Promise<void> };
  readonly #sockets = new Set<Socket>();
  script: Script = (_, socket) => socket.write(ok("{}"));

  private constructor(parts: {
    server: Server;
    directory: string;
    settings: EndpointSettings;
    account: Account;
    endpoint: { end(): Promise<void> };
  }) {
    this.#server = parts.server;
    this.#directory = parts.directory;
    this.#settings = parts.settings;
    this.#endpoint = parts.endpoint;
    this.account = parts.account;
    this.port = parts.settings.listen.port;
  }

  /** With an endpoint before it, and an app `shop`. */
  static async start(): Promise<ScriptedCouch> {
    const directory = await mkdtemp(join(tmpdir(), "data-test-"));
    await mkdir(join(directory, "apps"));
    let accept: (socket: Socket) => void = () => {};
    const server = createServer((socket) => accept(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await ensureServerSecrets(join(directory, "secrets.json"), `http://root:secret@127.0.0.1:${port}`);
    const account = await new Accounts(join(directory, "apps")).ensure("shop");
    const settings: EndpointSettings = {
      state: directory,
      listen: { host: "127.0.0.1", port: await freePort() },
      control: join(directory, "control.sock"),
      lock: join(directory, "lock"),
      local: { kind: "couchdb" },
    };
    const asked: Socket[] = [];
    accept = (socket) => void asked.push(socket);
    const endpoint = await spawnEndpoint(settings);
    const couch = new ScriptedCouch({ server, directory, settings, account, endpoint });
    accept = (socket) => couch.#serve(socket);
    for (const socket of asked) couch.#serve(socket);
    return couch;
  }

  get authorization(): string {
    return basic("shop", this.account.password);
  }

  /** What the app has asked for, without what the endpoint asks by itself. */
  get lines(): string[] {
    return this.received.map(({ line }) => line);
  }

  /** Sends bytes to the endpoint; resolves with all that came back when that fits, or the connection has closed. */
  async send(bytes: string, fits: (text: string) => boolean = () => false): Promise<string> {
    const socket = connect({ host: "127.0.0.1", port: this.port });
    const { promise, resolve } = Promise.withResolvers<void>();
    let text = "";
    socket.setEncoding("latin1").on("data", (part: string) => {
      text += part;
      if (fits(text)) resolve();
    });
    socket.on("error", () => {}).once("close", () => resolve());
    socket.write(bytes);
    await promise;
    socket.destroy();
    return text;
  }

  async changePassword(password: string): Promise<void> {
    await new Accounts(join(this.#directory, "apps")).save({ ...this.account, password });
    const channel = await connectChannel(this.#settings.control, endpointExchanges);
    await channel.ask("reload", {});
    channel.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let text = "";
    socket.on("error", () => {}).once("close", () => this.#sockets.delete(socket));
    socket.setEncoding("latin1").on("data", (part: string) => {
      text += part;
      for (let read = readRequest(text); read; read = readRequest(text)) {
        text = read.rest;
        this.#answer(read.request, socket);
      }
    });
  }

  #answer(request: Received, socket: Socket): void {
    if (/^GET \/(_up|shop) /.test(request.line)) return void socket.write(ok("{}"));
    this.received.push(request);
    this.script(request, socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endpoint.end();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

function readRequest(text: string): { request: Received; rest: string } | null {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const head = text.slice(0, end + 2);
  const [line = ""] = head.split("\r\n");
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  const chunked = /^transfer-encoding: *chunked/im.test(head);
  const bodyEnd = chunked ? text.indexOf("0\r\n\r\n", end + 4) + 5 : end + 4 + length;
  if (text.length < bodyEnd || bodyEnd < end + 4) return null;
  return { request: { line, head, body: text.slice(end + 4, bodyEnd) }, rest: text.slice(bodyEnd) };
}
