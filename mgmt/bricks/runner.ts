/** What a daemon does to processes, so that tests can put themselves in between. */

import type { Clock } from "core/env.ts";
import { argsOf, processes, startTime, userOf } from "mgmt/bricks/proc.ts";

/** How a process ended: a code or a signal; neither if it was not our child. */
export interface Exit {
  readonly code?: number;
  readonly signal?: string;
}

/** One process, named for good: its number given to another one is another process. */
export interface Running {
  readonly pid: number;
  /** Its command line. */
  readonly args: readonly string[];
  /** False as soon as it has ended, even if nobody took its exit status. */
  readonly alive: boolean;
  /** Resolves when it has ended; of a process that is not our child a moment later. */
  readonly ended: Promise<Exit>;
  /** Harmless if it has ended. */
  signal(signal: Deno.Signal): void;
}

/** A program and its arguments. */
export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
}

/** See the head of this file. */
export interface Runner {
  /**
   * Starts a process in a session of its own: it outlives us. What it says on standard error goes to
   * the end of the file `log`. Throws what Deno throws.
   */
  start(line: CommandLine, log: string): Running;
  /** The process of that number, if it is our user's: a stranger may call itself what it likes. */
  find(pid: number): Running | undefined;
  /** Numbers and command lines of all processes. */
  list(): { readonly pid: number; readonly args: readonly string[] }[];
}

/** How soon the end of a process is noticed that is not our child. */
const LOOK_MS = 1000;

/** The machine's processes. */
export class SystemRunner implements Runner {
  constructor(readonly clock: Clock) {}

  start({ command, args }: CommandLine, log: string): Running {
    // Deno cannot give a file as standard error; the shell that can becomes the program itself.
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", 'exec "$@" 2>>"$0"', log, command, ...args],
      // A brick that took our place at the service manager would tell it that we are ready.
      env: { NOTIFY_SOCKET: "" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    child.unref();
    const ended = child.status.then(({ code, signal }): Exit => signal ? { signal } : { code });
    return new SystemProcess(child.pid, startTime(child.pid), () => ended);
  }

  find(pid: number): Running | undefined {
    const since = startTime(pid);
    if (since === undefined || userOf(pid) !== Deno.uid()) return undefined;
    const found = new SystemProcess(pid, since, () =>
      new Promise((resolve) => {
        const timer = this.clock.every(LOOK_MS, () => {
          if (found.alive) return;
          timer.cancel();
          resolve({});
        });
      }));
    return found;
  }

  list(): { pid: number; args: string[] }[] {
    return processes().map((pid) => ({ pid, args: argsOf(pid) }));
  }
}

class SystemProcess implements Running {
  readonly #since: string | undefined;
  readonly #watch: () => Promise<Exit>;
  #ended: Promise<Exit> | undefined;

  constructor(readonly pid: number, since: string | undefined, watch: () => Promise<Exit>) {
    this.#since = since;
    this.#watch = watch;
  }

  get ended(): Promise<Exit> {
    return this.#ended ??= this.#watch();
  }

  get args(): readonly string[] {
    return this.alive ? argsOf(this.pid) : [];
  }

  get alive(): boolean {
    return this.#since !== undefined && startTime(this.pid) === this.#since;
  }

  signal(signal: Deno.Signal): void {
    if (!this.alive) return;
    try {
      Deno.kill(this.pid, signal);
    } catch (error) {
      // It ended between the look and the signal.
      if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
    }
  }
}
