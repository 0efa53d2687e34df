// The real program on this machine, and a real sshd for a real attack.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const START_MS = 60_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (typeof address !== "object" || address === null) throw new Error("no port is free");
  return address.port;
}

export interface Running {
  origin: string;
  password: string;
  stop: () => Promise<void>;
}

/** Starts `garrison up` on ports and in a folder of its own, and reads the first password. */
export async function startGarrison(binary: string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), "garrison-e2e-"));
  const [console, agents] = [await freePort(), await freePort()];
  const child = spawn(
    binary,
    [
      "up",
      "--data",
      folder,
      "--console",
      `127.0.0.1:${console}`,
      "--agents",
      `127.0.0.1:${agents}`,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const password = await firstPassword(child);
  return {
    origin: `http://127.0.0.1:${console}`,
    password,
    stop: async () => {
      await ended(child, "SIGINT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function firstPassword(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    const give = () => reject(new Error(`no password was printed:\n${seen.join("\n")}`));
    const timer = setTimeout(give, START_MS);
    child.once("exit", give);
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on("line", (line) => {
        seen.push(line);
        const match = /password[^a-z0-9]+([a-z0-9-]{16,})/i.exec(line);
        if (!match?.[1]) return;
        clearTimeout(timer);
        child.off("exit", give);
        resolve(match[1]);
      });
    }
  });
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  await gone;
}

const AUTH_LOG = "/var/log/auth.log";
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** A line of sshd as a syslog daemon writes it. */
function syslogLine(pid: number, text: string): string {
  const now = new Date();
  const two = (it: number) => String(it).padStart(2, "0");
  const day = String(now.getDate()).padStart(2, " ");
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(":");
  return `${MONTHS[now.getMonth()]} ${day} ${clock} ${hostname()} sshd[${pid}]: ${text}\n`;
}

export const SSHD_NEEDS = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/sshpass"];

export interface Sshd {
  /** One client at `address` tries this many wrong passwords, one connection each. */
  attack: (address: string, times: number) => void;
  stop: () => Promise<void>;
}

/** A real sshd on loopback; this test is its syslog daemon, since a container has none. */
export async function startSshd(): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "garrison-sshd-"));
  const key = join(folder, "host_key");
  spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  const port = await freePort();
  const config = join(folder, "sshd_config");
  writeFileSync(
    config,
    [
      `HostKey ${key}`,
      `PidFile ${join(folder, "pid")}`,
      "ListenAddress 127.0.0.1",
      `Port ${port}`,
      "PasswordAuthentication yes",
      "KbdInteractiveAuthentication no",
      "UsePAM no",
      "MaxStartups 100",
      // A later OpenSSH drops connections of those who fail often; we want to see all of them.
      "LogLevel INFO",
      "",
    ].join("\n"),
  );
  mkdirSync("/run/sshd", { recursive: true });
  const ours = !existsSync(AUTH_LOG);
  if (ours) writeFileSync(AUTH_LOG, "");
  const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error("sshd ended")));
    createInterface({ input: child.stderr }).on("line", (line) => {
      appendFileSync(AUTH_LOG, syslogLine(child.pid ?? 0, line.trimEnd()));
      if (line.includes("listening")) resolve();
    });
  });
  const options = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "NumberOfPasswordPrompts=1",
    "PreferredAuthentications=password",
  ].flatMap((it) => ["-o", it]);
  return {
    attack: (address, times) => {
      for (let time = 0; time < times; time++) {
        const target = ["-F", "none", "-b", address, "-p", String(port), ...options];
        // Not waited for: its failure is read from the log, and this process writes that.
        spawn("sshpass", ["-p", "not the password", "ssh", ...target, "root@127.0.0.1", "true"], {
          stdio: "ignore",
        });
      }
    },
    stop: async () => {
      await ended(child, "SIGTERM");
      rmSync(folder, { recursive: true, force: true });
      if (ours) rmSync(AUTH_LOG);
    },
  };
}

export interface Victim {
  path: string;
  name: string;
  content: Buffer;
  isRunning: () => boolean;
  stop: () => void;
}

/** `sleep`, made unique, under the name of a service in a place where none lies: harmless. */
export function startVictim(): Victim {
  const folder = mkdtempSync(join(tmpdir(), "garrison-victim-"));
  const path = join(folder, "chronyd");
  const content = Buffer.concat([readFileSync("/bin/sleep"), Buffer.from(folder)]);
  writeFileSync(path, content);
  chmodSync(path, 0o755);
  const child = spawn(path, ["300"], { stdio: "ignore" });
  return {
    path,
    name: "chronyd",
    content,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    stop: () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
