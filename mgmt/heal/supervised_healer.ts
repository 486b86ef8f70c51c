/**
 * The self-heal daemon of this node: it runs as long as there are started volumes with copies, and is
 * told which.
 */

import type { Env } from "core/env.ts";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import { serverText } from "mgmt/bricks/command_line.ts";
import type { CommandLine, Runner } from "mgmt/bricks/runner.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { answerOf, type HealAnswer, type HealOrder, orderRequest } from "mgmt/heal/orders.ts";
import type { Places } from "mgmt/home.ts";
import { plain } from "mgmt/plain.ts";
import { SupervisedProcess } from "mgmt/supervised_process.ts";
import { xlatorOp } from "rpc/programs/brick_ops.ts";

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

/** How long its socket may take to be there. */
const UP_MS = 30_000, LOOK_MS = 100;

/** See the head of this file. */
export class SupervisedHealer implements HealerLink {
  readonly #options: SupervisedHealerOptions;
  readonly #link: BrickLink;
  readonly #process: SupervisedProcess;
  #names: readonly string[] = [];
  #steps: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: SupervisedHealerOptions) {
    this.#options = options;
    const { env, places, runner, restart } = options;
    this.#process = new SupervisedProcess({
      ...{ env, places, runner, restart },
      what: "self-heal daemon",
      name: "glustershd",
      again: () => this.converge(this.#names),
    });
    this.#link = new BrickLink(env, this.#process.files.socket);
  }

  get status(): { online: boolean; pid: number | undefined } {
    const { running } = this.#process;
    return { online: running !== undefined, pid: running?.pid };
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
    await this.#process.adopt();
    const same = names.join(" ") === this.#names.join(" ");
    this.#names = names;
    if (!names.length) return await this.#end();
    if (!this.#process.running) return await this.#start();
    if (same) return;
    try {
      await this.#tell({ order: "volumes", names });
    } catch (error) {
      this.#options.env.log.warn("self-heal daemon is started anew", { why: plain(error) });
      await this.#end();
      await this.#start();
    }
  }

  async #start(): Promise<void> {
    const { places, program, server, nodeId } = this.#options;
    const { pid, socket, log } = this.#process.files;
    const { command, args } = program("heal");
    const own = [
      ...["-s", serverText(server())],
      ...this.#names.flatMap((name) => ["--volfile-id", `shd/${name}`]),
      ...["-p", pid, "-l", log, "-S", socket, "--statedump-dir", places.run],
      ...["--xlator-option", `*replicate*.node-uuid=${nodeId}`],
      ...["--process-name", "glustershd", "--client-pid=-6"],
    ];
    this.#link.close();
    await this.#process.start({ command, args: [...args, ...own] });
  }

  async #end(): Promise<void> {
    this.#link.close();
    await this.#process.end();
  }

  async ask(order: HealOrder): Promise<HealAnswer> {
    await this.#steps;
    if (!this.#process.running) {
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
        if (!early || clock.monotonic() > until || !this.#process.running) throw error;
      }
      await clock.delay(LOOK_MS);
    }
  }

  /** Watches no more; the process runs on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#process.stop();
    await this.#steps;
    this.#link.close();
  }
}
