/**
 * A process that a management daemon keeps running: started again when it ends and nobody wanted
 * that. It outlives the management daemon; the next one finds it by its pid file.
 */

import type { Env, Timer } from "core/env.ts";
import { endProcess } from "mgmt/bricks/ending.ts";
import { openLog } from "mgmt/bricks/log_tail.ts";
import type { CommandLine, Runner, Running } from "mgmt/bricks/runner.ts";
import { pidIn, removeIfThere } from "mgmt/files.ts";
import type { Places } from "mgmt/home.ts";
import { makeDirectory } from "mgmt/state/replace_file.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** What the process is. */
export interface SupervisedProcessOptions {
  readonly env: Env;
  readonly places: Places;
  readonly runner: Runner;
  /** For people: "self-heal daemon". */
  readonly what: string;
  /** What its files are called: NAME.pid and NAME.socket in `run`, NAME.log in `logs`. */
  readonly name: string;
  /** Whether it is started again if it dies. */
  readonly restart: boolean;
  /** It died, and is to be started again if it is wanted still. */
  readonly again: () => void;
}

/** Pauses between tries; after that long a life the first one counts again. */
const PAUSE_MS = 1000, PAUSE_MAX_MS = 60_000, SOUND_MS = 60_000;

/** See the head of this file. Steps are for one at a time. */
export class SupervisedProcess {
  readonly #options: SupervisedProcessOptions;
  readonly files: { readonly pid: string; readonly socket: string; readonly log: string };
  #process: Running | undefined;
  #since = 0;
  #pauseMs = PAUSE_MS;
  #again: Timer | undefined;
  #looked = false;
  #stopped = false;

  constructor(options: SupervisedProcessOptions) {
    this.#options = options;
    const { places: { run, logs }, name } = options;
    this.files = {
      pid: `${run}/${name}.pid`,
      socket: `${run}/${name}.socket`,
      log: `${logs}/${name}.log`,
    };
  }

  /** The process, if it runs. */
  get running(): Running | undefined {
    return this.#process?.alive ? this.#process : undefined;
  }

  /** The first time: takes over one that an earlier daemon started. */
  async adopt(): Promise<void> {
    if (this.#looked) return;
    this.#looked = true;
    const pid = await pidIn(this.files.pid);
    const process = pid === undefined ? undefined : this.#options.runner.find(pid);
    if (process?.args.includes(this.files.pid)) this.#watch(process);
  }

  /** Starts it. */
  async start({ command, args }: CommandLine): Promise<void> {
    const { env, places, runner, what } = this.#options;
    const { socket, log } = this.files;
    this.#again?.cancel();
    await makeDirectory(places.run);
    await makeDirectory(places.logs);
    await removeStaleSocket(socket);
    await openLog(log);
    this.#watch(runner.start({ command, args }, log));
    env.log.info(`${what} started`, { pid: this.#process!.pid });
  }

  #watch(process: Running): void {
    const { env, what, restart } = this.#options;
    this.#process = process;
    this.#since = env.clock.monotonic();
    process.ended.then(() => {
      if (this.#process !== process || this.#stopped) return;
      this.#process = undefined;
      env.log.warn(`${what} ended`, { pid: process.pid, log: this.files.log });
      if (restart) this.#tryAgain();
    });
  }

  #tryAgain(): void {
    const { env: { clock }, again } = this.#options;
    if (clock.monotonic() - this.#since >= SOUND_MS) this.#pauseMs = PAUSE_MS;
    this.#again = clock.after(this.#pauseMs, again);
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MAX_MS);
  }

  /** Ends it for good; its files go. */
  async end(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    this.#again?.cancel();
    if (process?.alive) await endProcess(process, this.#options.env.clock);
    await removeIfThere(this.files.pid);
    await removeIfThere(this.files.socket);
  }

  /** Watches no more; the process runs on. */
  stop(): void {
    this.#stopped = true;
    this.#again?.cancel();
  }
}
