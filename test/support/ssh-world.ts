import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository, TestMaestro } from "./maestro.ts";
import { type Developer, type Ran, removeSshUser, runProgram, sshUserOfTest, TestSshd } from "./sshd.ts";

/** A server with Maestro and sshd, and developers who have keys for some apps on it. */
export class SshWorld implements AsyncDisposable {
  readonly maestro: TestMaestro;
  readonly sshd: TestSshd;
  readonly user: string;
  readonly #keys: string;

  private constructor(maestro: TestMaestro, sshd: TestSshd, user: string, keys: string) {
    this.maestro = maestro;
    this.sshd = sshd;
    this.user = user;
    this.#keys = keys;
  }

  static async start(...flags: string[]): Promise<SshWorld> {
    const user = sshUserOfTest();
    // Nobody's own authorized_keys is written to: root's Maestro makes a user, others name a file.
    const keys = await mkdtemp(join(tmpdir(), "maestro-keys-"));
    const file = join(keys, "authorized_keys");
    const isRoot = process.getuid?.() === 0;
    const forKeys = isRoot ? ["--ssh-user", user] : ["--authorized-keys", file];
    const maestro = await TestMaestro.start(...forKeys, ...flags);
    const sshd = await TestSshd.start(isRoot ? {} : { authorizedKeys: file });
    return new SshWorld(maestro, sshd, user, keys);
  }

  /** Somebody whose key is for these apps. */
  async developer(name: string, ...apps: string[]): Promise<Developer> {
    const developer = await this.sshd.developer(name);
    await this.add(developer, ...apps);
    return developer;
  }

  async add({ name, publicKey }: Developer, ...apps: string[]): Promise<void> {
    const client = await this.maestro.client();
    await client.call("keys_add", { key: name, publicKey: await readFile(publicKey, "utf8"), apps });
  }

  /** "user@127.0.0.1:port", by sshd's port or another that leads there. */
  to(port = this.sshd.port): string {
    return `${this.user}@127.0.0.1:${port}`;
  }

  /** `maestro` as a developer runs it. */
  async run(who: Developer, words: readonly string[], cwd?: string): Promise<Ran> {
    const env = { MAESTRO_SSH: `ssh -F ${who.config}`, MAESTRO_SERVER: "" };
    return runProgram(join(repository, "bin/maestro"), words, { env, ...(cwd === undefined ? {} : { cwd }) });
  }

  async deploy(who: Developer, directory: string, ...words: string[]): Promise<Ran> {
    return this.run(who, ["deploy", directory, "--to", this.to(), ...words]);
  }

  /** `rsync` as a developer may type it himself. */
  async rsync(who: Developer, ...words: string[]): Promise<Ran> {
    return runProgram("rsync", ["-e", `ssh -F ${who.config} -p ${this.sshd.port}`, ...words]);
  }

  /** `git` of a developer, in a directory. */
  async git(who: Developer, cwd: string, ...words: string[]): Promise<Ran> {
    const env = {
      GIT_SSH_COMMAND: `ssh -F ${who.config}`,
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: who.name,
      GIT_AUTHOR_EMAIL: `${who.name}@example.com`,
      GIT_COMMITTER_NAME: who.name,
      GIT_COMMITTER_EMAIL: `${who.name}@example.com`,
    };
    return runProgram("git", words, { cwd, env });
  }

  repository(app: string): string {
    return `ssh://${this.user}@127.0.0.1:${this.sshd.port}/${app}.git`;
  }

  incoming(app: string, ...path: string[]): string {
    return join(this.maestro.home, "apps", app, "incoming", ...path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.maestro[Symbol.asyncDispose]();
    await this.sshd[Symbol.asyncDispose]();
    await rm(this.#keys, { recursive: true, force: true });
    await removeSshUser(this.user);
  }
}

/** A network between a developer and a server that is cut when so many bytes have gone up. */
export class FragileNetwork implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes that have gone up. */
  sent = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(to: number, cutAfter: number): Promise<FragileNetwork> {
    const server = createServer();
    const network = new FragileNetwork(server);
    server.on("connection", (near) => {
      const far = connect(to, "127.0.0.1");
      for (const socket of [near, far]) {
        network.#sockets.add(socket);
        socket.on("error", () => {}).on("close", () => network.cut());
      }
      near.on("data", (chunk: Buffer) => {
        network.sent += chunk.length;
        if (network.sent > cutAfter) network.cut();
        else if (!far.write(chunk)) {
          near.pause();
          far.once("drain", () => near.resume());
        }
      });
      far.pipe(near);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return network;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}
