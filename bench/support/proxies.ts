import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import getPort from "get-port";
import { connectChannel } from "../../src/lib/channel.ts";
import { exchanges, type WorkerSettings } from "../../src/protocol/worker.ts";
import { neighbours } from "./packages.ts";

const root = join(import.meta.dirname, "../..");

/** A proxy of one process, or the upstream behind it. */
export type Running = { pid: number; port: number; end(): Promise<void> };

/** What starts a proxy in front of the upstream, with a directory of its own. */
export type Start = (directory: string, upstreamPort: number) => Promise<Running>;

/** One Maestro worker with one app, which lives at `bench.test`. */
export const startMaestro: Start = (directory, upstreamPort) => startWorker(directory, upstreamPort, false);

/** The same, which writes a line for each request into a file. */
export const startLoggingMaestro: Start = (directory, upstreamPort) =>
  startWorker(directory, upstreamPort, true);

async function startWorker(directory: string, upstreamPort: number, accessLog: boolean): Promise<Running> {
  const control = join(directory, accessLog ? "logging-worker.sock" : "worker.sock");
  const port = await getPort();
  const settings: WorkerSettings = {
    control,
    listen: [{ host: "127.0.0.1", port }],
    holdMs: 1000,
    answerMs: 10_000,
    trustedProxies: [],
    accessLog,
  };
  const execArgv = process.env["BENCH_NODE_OPTIONS"]?.split(" ") ?? [];
  const worker = fork(join(root, "src/proxy/worker.ts"), [JSON.stringify(settings)], {
    detached: true,
    execArgv,
    stdio: ["ignore", accessLog ? openSync(join(directory, "access.log"), "w") : "inherit", "inherit", "ipc"],
  });
  await once(worker, "message");
  const channel = await connectChannel(control, exchanges);
  const upstreams = [{ instance: "bench.1", host: "127.0.0.1", port: upstreamPort }];
  const route = { app: "bench", hostnames: ["bench.test"], state: "serving" as const, upstreams };
  await channel.ask("routes", { put: [route], remove: [] });
  return running(worker, port, "SIGTERM");
}

export const startHttpProxy: Start = async (_directory, upstreamPort) => {
  const port = await getPort();
  const program = join(import.meta.dirname, "http-proxy.ts");
  return listening(spawn(process.execPath, [program, String(port), String(upstreamPort)]), port);
};

/** Not a proxy: the least that a connection costs in Node. */
export const startFloor: Start = async () => {
  const port = await getPort();
  return listening(spawn(process.execPath, [join(import.meta.dirname, "floor.ts"), String(port)]), port);
};

/** `upstream`: its port, or `unix:` and the path of its socket. */
export async function startNginx(directory: string, upstream: number | string): Promise<Running> {
  const port = await getPort();
  const address = typeof upstream === "number" ? `127.0.0.1:${upstream}` : upstream;
  const server = `
    upstream app { server ${address}; keepalive 128; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      client_max_body_size 100m;
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

export const startHaproxy: Start = async (directory, upstreamPort) => {
  const port = await getPort();
  const config = join(directory, "haproxy.cfg");
  await writeFile(
    config,
    `global
  maxconn 9600
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend clients
  bind 127.0.0.1:${port} backlog 4096
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header X-Request-Id %[uuid()]
  default_backend app
backend app
  http-reuse always
  server app 127.0.0.1:${upstreamPort}
`,
  );
  return listening(spawn(neighbours.haproxy.program, ["-db", "-f", config]), port);
};

export const startCaddy: Start = async (directory, upstreamPort) => {
  const port = await getPort();
  const config = join(directory, "Caddyfile");
  const header = "header_up X-Request-Id {http.request.uuid}";
  await writeFile(
    config,
    `{\n  admin off\n  auto_https off\n  grace_period 1s\n}\n` +
      `http://:${port} {\n  bind 127.0.0.1\n  reverse_proxy 127.0.0.1:${upstreamPort} {\n    ${header}\n  }\n}\n`,
  );
  const env = { ...process.env, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory, GOMAXPROCS: "1" };
  const args = ["run", "--adapter", "caddyfile", "--config", config];
  return listening(spawn(neighbours.caddy.program, args, { env, stdio: "ignore" }), port);
};

const bodies = { small: 6, large: 100 * 1024, huge: 10 * 1024 * 1024 };

/** Serves `small` (6 bytes), `large` (100 KB), `huge` (10 MB) and takes POSTs at `post`: another nginx, else Node. */
export async function startUpstream(directory: string, hasNginx: boolean): Promise<Running> {
  const port = await getPort();
  if (!hasNginx) {
    const program = join(import.meta.dirname, "upstream.ts");
    return listening(spawn(process.execPath, [program, String(port)]), port);
  }
  const files = join(directory, "files");
  await mkdir(files, { recursive: true });
  for (const [name, length] of Object.entries(bodies)) await writeFile(join(files, name), "x".repeat(length));
  const server = `server {
    listen 127.0.0.1:${port} backlog=4096; root ${files}; open_file_cache max=10; client_max_body_size 100m;
    location /post { return 200 ok; }
  }`;
  return listening(await nginx(join(directory, "upstream"), server), port);
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
     worker_rlimit_nofile 40000;
     events { worker_connections 20000; }
     http {
       access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; sendfile on; tcp_nopush on;
       ${temporary} ${server}
     }`,
  );
  return spawn(neighbours.nginx.program, ["-c", config, "-p", directory, "-e", join(directory, "error.log")]);
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

function running(child: ChildProcess, port: number, signal: NodeJS.Signals = "SIGKILL"): Running {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${child.spawnfile} could not be started`);
  return {
    pid,
    port,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill(signal);
      await exited;
    },
  };
}
