/** The NBD server of this node: it runs as long as the management daemon keeps exports, and follows them. */

import type { CommandLine } from "mgmt/bricks/runner.ts";
import { type ExportRecord, exportsText } from "mgmt/nbd/kept_exports.ts";
import { plain } from "mgmt/plain.ts";
import { replaceFile } from "mgmt/state/replace_file.ts";
import { SupervisedProcess, type SupervisedProcessOptions } from "mgmt/supervised_process.ts";

/** What the process is made of. */
export interface SupervisedNbdOptions
  extends Pick<SupervisedProcessOptions, "env" | "places" | "runner" | "restart"> {
  /** This program in a role. */
  readonly program: (role: "nbd") => CommandLine;
  /** Where it finds this daemon, now that it listens. */
  readonly server: () => { readonly host: string; readonly port: number };
  /** Where it listens besides its unix socket: "ADDRESS:PORT" each. */
  readonly listens: readonly string[];
  /** Directory of certificates; undefined: it serves in the clear. */
  readonly certificates: string | undefined;
}

/** How long its socket may take to be there. */
const UP_MS = 30_000, LOOK_MS = 50;

/** See the head of this file. */
export class SupervisedNbd {
  readonly #options: SupervisedNbdOptions;
  readonly #process: SupervisedProcess;
  #exports: readonly ExportRecord[] = [];
  #steps: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: SupervisedNbdOptions) {
    this.#options = options;
    const { env, places, runner, restart } = options;
    const again = () => this.converge(this.#exports);
    const named = { what: "NBD server", name: "nbd" };
    this.#process = new SupervisedProcess({ env, places, runner, restart, again, ...named });
  }

  /** Its unix socket. */
  get socket(): string {
    return this.#process.files.socket;
  }

  /** Where else it listens. */
  get listens(): readonly string[] {
    return this.#options.listens;
  }

  /** Whether clients have to speak TLS. */
  get encrypted(): boolean {
    return this.#options.certificates !== undefined;
  }

  /** Its process; undefined: it does not run. */
  get pid(): number | undefined {
    return this.#process.running?.pid;
  }

  /** Wants these served and no others. Resolves when it was told; what goes wrong is logged. */
  converge(exports: readonly ExportRecord[]): Promise<void> {
    if (this.#stopped) return this.#steps;
    return this.#steps = this.#steps.then(() => this.#follow(exports)).catch((error) => {
      this.#options.env.log.error("NBD server is not as it should be", { why: plain(error) });
    });
  }

  async #follow(exports: readonly ExportRecord[]): Promise<void> {
    await this.#process.adopt();
    this.#exports = exports;
    if (!exports.length) return await this.#process.end();
    await replaceFile(this.#file, exportsText(exports, this.#options.server()));
    const { running } = this.#process;
    if (running) running.signal("SIGHUP");
    else await this.#start();
  }

  get #file(): string {
    return `${this.#options.places.home}/nbd-exports.json`;
  }

  // Until it listens: a signal that comes before would end it.
  async #start(): Promise<void> {
    const { program, places, listens, certificates, env: { clock } } = this.#options;
    const { pid, socket, log } = this.#process.files;
    const { command, args } = program("nbd");
    const own = [
      ...["--exports", this.#file, "--socket", socket],
      ...listens.flatMap((each) => ["--listen", each]),
      ...certificates === undefined ? [] : ["--tls-certificates", certificates],
      ...["-p", pid, "-l", log, "--statedump-dir", places.run],
    ];
    await this.#process.start({ command, args: [...args, ...own] });
    for (const until = clock.monotonic() + UP_MS; clock.monotonic() < until;) {
      const listens = await Deno.lstat(socket).then(() => true, () => false);
      if (listens || !this.#process.running) return;
      await clock.delay(LOOK_MS);
    }
  }

  /** Watches no more; the process runs on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#process.stop();
    await this.#steps;
  }
}
