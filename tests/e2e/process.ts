/**
 * Programs in a network namespace of their own, and what is needed to be rid of them: whatever a
 * test starts ends with it, even if the test dies half-way (the next run sweeps up).
 */

import { realRandom } from "core/env.ts";
import { isDeepStrictEqual } from "node:util";

const NAME_PREFIX = "mt-e2e-";
/** How long anything may take on a machine that does much else: only a failure takes that long. */
export const PATIENCE_MS = 60_000;

/** What a finished program left. */
export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How a program is run. */
export interface RunOptions {
  /** Milliseconds until it is killed; five minutes if absent. */
  readonly timeoutMs?: number;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** Runs a program to its end. A program that takes too long is killed and counts as code 124. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const [program, ...args] = argv;
  const child = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(options.env ? { env: options.env } : {}),
    ...(options.cwd ? { cwd: options.cwd } : {}),
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, options.timeoutMs ?? 5 * PATIENCE_MS);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const text = new TextDecoder();
  return {
    code: late ? 124 : code,
    out: text.decode(stdout),
    err: text.decode(stderr) + (late ? "\n(killed: took too long)" : ""),
  };
}

/** As `run`, and throws with all output unless the exit code is 0. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, out, err } = await run(argv, options);
  if (code !== 0) throw new Error(`${argv.join(" ")}: exit code ${code}\n${out}\n${err}`);
  return out;
}

/** Resolves when `condition` holds; throws after `timeoutMs`, naming what did not come. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = PATIENCE_MS,
  everyMs = 50,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((done) => setTimeout(done, everyMs));
  }
}

/** As `until`, for all of `right` at once; what was found last is told if it is another. */
export async function untilEqual<T>(
  what: string,
  right: T,
  find: () => T | Promise<T>,
  timeoutMs = PATIENCE_MS,
): Promise<void> {
  let found: T | undefined;
  const same = async () => isDeepStrictEqual(found = await find(), right);
  await until(what, same, timeoutMs).catch((error) => {
    throw new Error(`${error}: ${JSON.stringify(found)} instead of ${JSON.stringify(right)}`);
  });
}

/** A long-running program; its output goes to a file. */
export class Process {
  readonly #child: Deno.ChildProcess;
  #ended = false;

  /** Starts `argv`; standard output and error are appended to `log`. */
  constructor(argv: readonly string[], readonly log: string, env: Record<string, string> = {}) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", 'exec "$@" >>"$0" 2>&1', log, ...argv],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      env,
    }).spawn();
    this.#child.status.then(() => this.#ended = true);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get running(): boolean {
    return !this.#ended;
  }

  /** Ends it with `signal` and waits until it is gone; after ten seconds it is killed. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    if (this.running) this.#child.kill(signal);
    const timer = setTimeout(() => this.running && this.#child.kill("SIGKILL"), 10_000);
    await this.#child.status;
    clearTimeout(timer);
  }

  /** The end of what it said. */
  lastWords(): string {
    try {
      return Deno.readTextFileSync(this.log).slice(-3000);
    } catch {
      return "(no log)";
    }
  }
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

/** CPU time used so far, user and system, in seconds; children not included. */
export function cpuSeconds(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const TICKS_PER_SECOND = 100;
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * True if a socket listens on that TCP port where process `pid` lives. `inside`: it was started in a
 * `Namespace`, and is still in ours a moment after that, where others listen.
 */
export function listens(pid: number, port: number, { inside }: { inside: boolean }): boolean {
  if (inside && networkOf(pid) === networkOf("self")) return false;
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  for (const table of ["tcp", "tcp6"]) {
    try {
      const rows = Deno.readTextFileSync(`/proc/${pid}/net/${table}`);
      if (new RegExp(`^\\s*\\d+: [0-9A-F]+:${hex} [0-9A-F]+:0000 0A `, "m").test(rows)) return true;
    } catch {
      // The process has ended: it does not listen.
    }
  }
  return false;
}

/** Names the network namespace of a process; undefined: it has ended. */
function networkOf(pid: number | "self"): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Process numbers whose command line holds `text`. */
export function processesNaming(text: string): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    try {
      if (Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(text)) found.push(Number(name));
    } catch {
      // It ended in between.
    }
  }
  return found;
}

/** Kills all processes whose command line holds `text`, and what they fork meanwhile, until there is none. */
export async function killAllNaming(text: string): Promise<void> {
  await until(`processes of ${text} are gone`, () => {
    const pids = processesNaming(text);
    for (const pid of pids) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error; // else it ended in between
      }
    }
    return pids.length === 0;
  });
}

/** A network namespace with nothing but loopback. */
export class Namespace implements AsyncDisposable {
  static #count = 0;
  private constructor(readonly name: string, readonly ownMounts: boolean) {}

  /**
   * Makes one; namespaces of test runs that died are swept first. With `ownMounts` programs inside have
   * a mount namespace of their own, too: nothing that they mount is seen outside.
   */
  static async create(ownMounts = false): Promise<Namespace> {
    if (Namespace.#count === 0) await sweep();
    // What a failed test left does not make the next ones fail: each file of tests counts anew.
    const name = `${NAME_PREFIX}${Deno.pid}-${Namespace.#count++}-${realRandom.int(0xffff)}`;
    const space = new Namespace(name, ownMounts);
    await must(["ip", "netns", "add", space.name]);
    await must(["ip", "-n", space.name, "link", "set", "lo", "up"]);
    return space;
  }

  /**
   * The command line that runs `argv` inside. Mounts made there are seen outside (unlike with
   * `ip netns exec`) unless there are own ones, and the process number is the program's own.
   */
  inside(argv: readonly string[]): string[] {
    const mounts = this.ownMounts ? ["unshare", "--mount"] : [];
    return ["nsenter", `--net=/run/netns/${this.name}`, ...mounts, ...argv];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeNamespace(this.name);
  }
}

async function removeNamespace(name: string): Promise<void> {
  const { out } = await run(["ip", "netns", "pids", name]);
  for (const pid of out.split("\n").filter(Boolean)) {
    try {
      Deno.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended in between.
    }
  }
  await run(["ip", "netns", "del", name]);
}

// Names carry the number of the process that made them; what a dead one left is litter.
async function sweep(): Promise<void> {
  const left = (name: string) =>
    name.startsWith(NAME_PREFIX) &&
    !exists(`/proc/${name.slice(NAME_PREFIX.length).split("-")[0]}`);
  const { out } = await run(["ip", "netns", "list"]);
  for (const line of out.split("\n")) {
    const name = line.split(" ")[0]!;
    if (left(name)) await removeNamespace(name);
  }
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  for (const { name } of [...Deno.readDirSync(temporary)].filter(({ name }) => left(name))) {
    const directory = `${temporary}/${name}`;
    for (const [, path] of mounts().matchAll(/^\S+ \S+ \S+ \S+ (\S+) /gm)) {
      if (path!.startsWith(`${directory}/`)) await run(["umount", "-l", path!]);
    }
    // Never reach through a mount that would not go.
    if (!mounts().includes(` ${directory}/`)) await Deno.remove(directory, { recursive: true });
  }
}

function mounts(): string {
  return Deno.readTextFileSync("/proc/self/mountinfo");
}

/** True if there is something at `path`. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
