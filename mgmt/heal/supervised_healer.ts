/**
 * The self-heal daemon of this node and its process: it runs as long as there are started volumes with
 * copies, is told which, and is started again when it ends and nobody wanted that. It outlives the
 * management daemon; the next one finds it by its pid file.
 */

import type { Env, Timer } from "core/env.ts";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import { serverText } from "mgmt/bricks/command_line.ts";
import { endProcess } from "mgmt/bricks/ending.ts";
import { openLog } from "mgmt/bricks/log_tail.ts";
import { pidIn, removeIfThere } from "mgmt/files.ts";
import type { CommandLine, Runner, Running } from "mgmt/bricks/runner.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { answerOf, type HealAnswer, type HealOrder, orderRequest } from "mgmt/heal/orders.ts";
import type { Places } from "mgmt/home.ts";
import { plain } from "mgmt/plain.ts";
import { makeDirectory } from "mgmt/state/replace_file.ts";
import { xlatorOp } from "rpc/programs/brick_ops.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** What the rest of the management daemon wants of it. */
export interface HealerLink {
  /** Whether it runs, and as which process. */
  readonly status: { readonly online: boolean; readonly pid: number | undefined };
  /** Has an order carried out. Throws Refusal if it does not run, or says why it cannot. */
  ask(order: HealOrder): Promise<HealAnswer>;
}

/** What the process is made of. */
export interface SupervisedHealerOptions {
  readonly env: Env;
  readonly places: Places;
  readonly runner: Runner;
  /** This program in a role. */
  readonly program: (role: "heal") => CommandLine;
  /** Where it finds this daemon, now that it listens. */
  readonly server: () => { readonly host: string; readonly port: number };
  /** UUID of this node. */
  readonly nodeId: string;
  /** Whether it is started again if it dies. */
  readonly restart: boolean;
}

/** Pauses between tries; after that long a life the first one counts again. */
const PAUSE_MS = 1000, PAUSE_MAX_MS = 60_000, SOUND_MS = 60_000;
/** How long its socket may take to be there. */
const UP_MS = 30_000, LOOK_MS = 100;

/** See the head of this file. */
export class SupervisedHealer implements HealerLink {
  readonly #options: SupervisedHealerOptions;
  readonly #link: BrickLink;
  readonly #files: { readonly pid: string; readonly socket: string; readonly log: string };
  #names: readonly string[] = [];
  #process: Running | undefined;
  #since = 0;
  #pauseMs = PAUSE_MS;
  #again: Timer | undefined;
  #steps: Promise<void> = Promise.resolve();
  #looked = false;
  #stopped = false;

  constructor(options: SupervisedHealerOptions) {
    this.#options = options;
    const { run, logs } = options.places;
    this.#files = {
      pid: `${run}/glustershd.pid`,
      socket: `${run}/glustershd.socket`,
      log: `${logs}/glustershd.log`,
    };
    this.#link = new BrickLink(options.env, this.#files.socket);
  }

  get status(): { online: boolean; pid: number | undefined } {
    const process = this.#process?.alive ? this.#process : undefined;
    return { online: process !== undefined, pid: process?.pid };
  }

  /** Wants these volumes healed and no others. Resolves at once; what goes wrong is logged. */
  converge(names: readonly string[]): void {
    if (this.#stopped) return;
    const wanted = names.toSorted();
    this.#steps = this.#steps.then(() => this.#follow(wanted)).catch((error) => {
      this.#options.env.log.error("self-heal daemon is not as it should be", {
        why: plain(error),
      });
    });
  }

  /** Resolves when what was wanted is done. */
  get settled(): Promise<void> {
    return this.#steps;
  }

  async #follow(names: readonly string[]): Promise<void> {
    await this.#adopt();
    const same = names.join(" ") === this.#names.join(" ");
    this.#names = names;
    if (!names.length) return await this.#end();
    if (!this.#process?.alive) return await this.#start();
    if (same) return;
    try {
      await this.#tell({ order: "volumes", names });
    } catch (error) {
      this.#options.env.log.warn("self-heal daemon is started anew", { why: plain(error) });
      await this.#end();
      await this.#start();
    }
  }

  // Once: one that an earlier daemon started.
  async #adopt(): Promise<void> {
    if (this.#looked) return;
    this.#looked = true;
    const pid = await pidIn(this.#files.pid);
    const process = pid === undefined ? undefined : this.#options.runner.find(pid);
    if (process?.args.includes(this.#files.pid)) this.#watch(process);
  }

  async #start(): Promise<void> {
    const { env, places, runner, program, server, nodeId } = this.#options;
    const { pid, socket, log } = this.#files;
    this.#again?.cancel();
    await makeDirectory(places.run);
    await makeDirectory(places.logs);
    await removeStaleSocket(socket);
    await openLog(log);
    const { command, args } = program("heal");
    const own = [
      ...["-s", serverText(server())],
      ...this.#names.flatMap((name) => ["--volfile-id", `shd/${name}`]),
      ...["-p", pid, "-l", log, "-S", socket, "--statedump-dir", places.run],
      ...["--xlator-option", `*replicate*.node-uuid=${nodeId}`],
      ...["--process-name", "glustershd", "--client-pid=-6"],
    ];
    this.#watch(runner.start({ command, args: [...args, ...own] }, log));
    env.log.info("self-heal daemon started", { pid: this.#process!.pid });
  }

  #watch(process: Running): void {
    const { env, restart } = this.#options;
    this.#process = process;
    this.#since = env.clock.monotonic();
    process.ended.then(() => {
      if (this.#process !== process || this.#stopped) return;
      this.#process = undefined;
      this.#link.close();
      env.log.warn("self-heal daemon ended", { pid: process.pid, log: this.#files.log });
      if (restart && this.#names.length) this.#tryAgain();
    });
  }

  #tryAgain(): void {
    const { clock } = this.#options.env;
    if (clock.monotonic() - this.#since >= SOUND_MS) this.#pauseMs = PAUSE_MS;
    this.#again = clock.after(this.#pauseMs, () => this.converge(this.#names));
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MAX_MS);
  }

  async #end(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    this.#again?.cancel();
    this.#link.close();
    if (process?.alive) await endProcess(process, this.#options.env.clock);
    await removeIfThere(this.#files.pid);
    await removeIfThere(this.#files.socket);
  }

  async ask(order: HealOrder): Promise<HealAnswer> {
    await this.#steps;
    if (!this.#process?.alive) {
      throw new Refusal("Self-heal daemon is not running. Check self-heal daemon log file.");
    }
    let answer: HealAnswer;
    try {
      answer = await this.#tell(order);
    } catch (error) {
      throw new Refusal(`Self-heal daemon did not answer: ${plain(error)}`);
    }
    if (answer.error !== undefined) throw new Refusal(answer.error);
    return answer;
  }

  // It may have been started a moment ago, and not listen yet.
  async #tell(order: HealOrder): Promise<HealAnswer> {
    const { clock } = this.#options.env;
    for (const until = clock.monotonic() + UP_MS;;) {
      try {
        const { ret, error, output } = await this.#link.ask(xlatorOp, orderRequest(order));
        if (ret < 0) throw new Refusal(error);
        return answerOf(output);
      } catch (error) {
        const early = error instanceof Deno.errors.NotFound ||
          error instanceof Deno.errors.ConnectionRefused;
        if (!early || clock.monotonic() > until || !this.#process?.alive) throw error;
      }
      await clock.delay(LOOK_MS);
    }
  }

  /** Watches no more; the process runs on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#again?.cancel();
    await this.#steps;
    this.#link.close();
  }
}
