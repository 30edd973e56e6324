import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import getPort from "get-port";
import { connectChannel } from "../../src/lib/channel.ts";
import { exchanges } from "../../src/protocol/worker.ts";

const root = join(import.meta.dirname, "../..");
const nginxProgram = "/usr/sbin/nginx";

/** A proxy of one process, or the upstream behind it. */
export type Running = { pid: number; port: number; end(): Promise<void> };

export async function hasNginx(): Promise<boolean> {
  return access(nginxProgram).then(
    () => true,
    () => false,
  );
}

/** One Maestro worker with one app, which lives at `bench.test`. */
export async function startMaestro(directory: string, upstreamPort: number): Promise<Running> {
  const control = join(directory, "worker.sock");
  const port = await getPort();
  const settings = {
    control,
    listen: [{ host: "127.0.0.1", port }],
    holdMs: 1000,
    answerMs: 10_000,
    trustedProxies: [],
    accessLog: false,
  };
  const worker = fork(join(root, "src/proxy/worker.ts"), [JSON.stringify(settings)], { detached: true });
  await once(worker, "message");
  const channel = await connectChannel(control, exchanges);
  const upstreams = [{ instance: "bench.1", host: "127.0.0.1", port: upstreamPort }];
  const route = { app: "bench", hostnames: ["bench.test"], state: "serving" as const, upstreams };
  await channel.ask("routes", { put: [route], remove: [] });
  return running(worker, port);
}

export async function startHttpProxy(_directory: string, upstreamPort: number): Promise<Running> {
  const port = await getPort();
  const program = join(import.meta.dirname, "http-proxy.ts");
  return listening(spawn(process.execPath, [program, String(port), String(upstreamPort)]), port);
}

export async function startNginx(directory: string, upstreamPort: number): Promise<Running> {
  const port = await getPort();
  const server = `
    upstream app { server 127.0.0.1:${upstreamPort}; keepalive 128; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port};
      location / {
        proxy_pass http://app;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Request-Id $request_id;
      }
    }`;
  return listening(await nginx(join(directory, "nginx"), server), port);
}

/** Serves `small` and `large` (100 KB): another nginx where there is one, else Node. */
export async function startUpstream(directory: string): Promise<Running> {
  const files = join(directory, "files");
  await mkdir(files, { recursive: true });
  await writeFile(join(files, "small"), "hello\n");
  await writeFile(join(files, "large"), "x".repeat(100 * 1024));
  const port = await getPort();
  if (await hasNginx()) {
    const server = `server { listen 127.0.0.1:${port}; root ${files}; open_file_cache max=10; }`;
    return listening(await nginx(join(directory, "upstream"), server), port);
  }
  const program = join(import.meta.dirname, "upstream.ts");
  return listening(spawn(process.execPath, [program, String(port)]), port);
}

async function nginx(directory: string, server: string): Promise<ChildProcess> {
  await mkdir(directory, { recursive: true });
  const config = join(directory, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join("\n");
  await writeFile(
    config,
    `daemon off; master_process off; pid ${directory}/pid; error_log ${directory}/error.log;
     events { worker_connections 4096; }
     http { access_log off; keepalive_requests 1000000000; ${temporary} ${server} }`,
  );
  return spawn(nginxProgram, ["-c", config, "-p", directory, "-e", join(directory, "error.log")]);
}

async function listening(child: ChildProcess, port: number): Promise<Running> {
  while (!(await accepts(port))) await pause(5);
  return running(child, port);
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const accepted = await Promise.race([
    once(socket, "connect").then(() => true),
    once(socket, "error").then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return accepted;
}

function running(child: ChildProcess, port: number): Running {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${child.spawnfile} could not be started`);
  return {
    pid,
    port,
    async end() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}
