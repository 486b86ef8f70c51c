/**
 * One brick of this node and its process.
 *
 * What is wanted (run, or not) changes by `run` and `end`; what is done about it is done one step
 * after the other. A process is online when it signed in at our portmap, or, if an earlier daemon started
 * it, as long as it may be expected to: its command line tells where it serves and whom it asks. If it ends and nobody of us
 * ended it, it is started again after a pause that doubles with every try, unless it ended in order: then
 * somebody wanted that (GlusterFS's `gf_attach -d`, a plain `kill`), and only `run` by force undoes it.
 */

import type { Env, Timer } from "core/env.ts";
import type { Window } from "core/lib/window.ts";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import type { BrickStatus } from "mgmt/bricks/bricks.ts";
import { brickArguments, readBrickArguments, serverText } from "mgmt/bricks/command_line.ts";
import { endProcess } from "mgmt/bricks/ending.ts";
import { lastLine, openLog } from "mgmt/bricks/log_tail.ts";
import type { Ports } from "mgmt/bricks/ports.ts";
import { exists } from "core/lib/files.ts";
import { pidIn, removeIfThere } from "mgmt/files.ts";
import type { CommandLine, Exit, Runner, Running } from "mgmt/bricks/runner.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { BrickFiles } from "mgmt/home.ts";
import { plain } from "mgmt/plain.ts";
import type { SignedIn } from "mgmt/portmap.ts";
import { type BrickRecord, brickText } from "mgmt/records.ts";
import type { Signature } from "rpc/program.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** What all bricks of a daemon share. */
export interface Supervision {
  readonly env: Env;
  readonly runner: Runner;
  readonly ports: Ports;
  /** Bounds how many come up at once. */
  readonly starts: Window;
  /** This program in a role. */
  readonly program: (role: "brick") => CommandLine;
  readonly nodeId: string;
  /** Whether bricks that die are started again. */
  readonly restart: boolean;
  /** Where a brick finds this daemon, now that it listens. */
  readonly server: () => { readonly host: string; readonly port: number };
  /** Told when a brick serves on another port than its record has. */
  readonly served: (volume: string, brick: BrickRecord, port: number) => void;
}

/** How long a brick may take until it signs in. */
const UP_MS = 20_000;
/** The same for one that an earlier daemon started and told another address than ours. */
const MISLED_MS = 3000;
/** Pauses between tries, and how long it must live for the first one to count again. */
const PAUSE_MS = 1000, PAUSE_MAX_MS = 60_000, SOUND_MS = 60_000;
/** Somebody may take a port between our look and the brick's. */
const PORT_TRIES = 3;

/** See the head of this file. */
export class SupervisedBrick {
  readonly #shared: Supervision;
  readonly #link: BrickLink;
  #record: BrickRecord;
  #wanted = false;
  #steps: Promise<void> = Promise.resolve();
  #starting = false;
  #unwanted = new AbortController();
  #process: Running | undefined;
  #since = 0;
  #heldPort: number | undefined;
  #port: number | undefined;
  // What an earlier daemon told the process, until it signs in here.
  #inherited: { readonly port: number; readonly server: string } | undefined;
  #signInBy: Timer | undefined;
  #signedOut = false;
  #online = Promise.withResolvers<void>();
  #why: string | undefined;
  #pauseMs = PAUSE_MS;
  #again: Timer | undefined;

  /** `record` is as stored; `files` are its alone. */
  constructor(
    shared: Supervision,
    readonly volume: string,
    record: BrickRecord,
    readonly files: BrickFiles,
  ) {
    this.#shared = shared;
    this.#record = record;
    this.#link = new BrickLink(shared.env, files.socket);
  }

  set record(record: BrickRecord) {
    this.#record = record;
  }

  get status(): BrickStatus {
    const process = this.#process?.alive ? this.#process : undefined;
    const port = process && (this.#port ?? (this.#isExpected ? this.#inherited?.port : undefined));
    const online = port !== undefined;
    return {
      online,
      pid: process?.pid,
      port,
      why: online ? undefined : this.#why,
    };
  }

  /** Whether `process` is this brick's: its command line names our pid file and socket. */
  isOurs(process: Running): boolean {
    const told = readBrickArguments(process.args);
    return told?.pidFile === this.files.pidFile && told.socket === this.files.socket;
  }

  /** Whether it shall run. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Number of the process that is known. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Takes a process of this brick over that an earlier daemon started; answers false if there is one already. */
  adopt(process: Running): boolean {
    if (this.#process?.alive) return this.#process.pid === process.pid;
    const told = readBrickArguments(process.args);
    if (!told) return false;
    this.#heldPort = this.#shared.ports.hold(told.port);
    this.#follow(process);
    this.#inherited = told;
    return true;
  }

  get #isExpected(): boolean {
    return this.#inherited?.server === serverText(this.#shared.server());
  }

  /** Wants it to run. Resolves when it is online if that began here; throws Refusal if it does not come up. */
  async run({ force }: { force: boolean }): Promise<void> {
    if (this.#wanted && !force) return;
    if (!this.#wanted) {
      this.#wanted = true;
      this.#unwanted = new AbortController();
      this.#pauseMs = PAUSE_MS;
    }
    await this.#next(() => this.#up());
  }

  /** Wants it not to run. Resolves when it is gone. Throws Refusal if it does not end. */
  async end(): Promise<void> {
    this.#wanted = false;
    this.#unwanted.abort(new Refusal(this.#said("was stopped while it was started")));
    this.#again?.cancel();
    await this.#next(() => this.#down());
  }

  /** Watches no more; the process runs on. */
  leave(): void {
    this.#wanted = false;
    this.#unwanted.abort(new Refusal(this.#said("is left: the management daemon ends")));
    this.#again?.cancel();
    this.#forgetInherited();
    this.#process = undefined;
    this.#link.close();
  }

  /** It signed in. */
  signedIn({ port }: SignedIn): void {
    this.#forgetInherited();
    this.#port = port;
    this.#signedOut = false;
    this.#why = undefined;
    this.#online.resolve();
    if (port !== this.#record.port) this.#shared.served(this.volume, this.#record, port);
  }

  /** It signed out, or its connection to our portmap ended. */
  signedOff({ inOrder }: { inOrder: boolean }): void {
    if (this.#port === undefined) return;
    this.#port = undefined;
    this.#signedOut = inOrder;
    this.#online = Promise.withResolvers();
    this.#why = "it runs, but is not connected to the management daemon";
  }

  /** Asks it. Throws Refusal. */
  async ask<A, R>(signature: Signature<A, R>, args: A): Promise<R> {
    this.#mustRun();
    try {
      return await this.#link.ask(signature, args);
    } catch (error) {
      throw new Refusal(this.#said(`did not answer: ${plain(error)}`));
    }
  }

  /** Its log goes on in a new file. Throws Refusal. */
  rotateLog(key: number): void {
    const process = this.#mustRun();
    const { logFile } = this.files;
    // What was rotated a moment ago stays.
    for (; exists(`${logFile}.${key}`); key++);
    try {
      Deno.renameSync(logFile, `${logFile}.${key}`);
    } catch (error) {
      // Somebody moved it away already: the brick still has to open a new one.
      if (!(error instanceof Deno.errors.NotFound)) {
        throw new Refusal(`Cannot rotate log file "${logFile}": ${plain(error)}`);
      }
    }
    process.signal("SIGHUP");
  }

  #mustRun(): Running {
    const process = this.#process;
    if (process?.alive) return process;
    throw new Refusal(this.#said(`is down: ${this.#why ?? "it was not started"}`));
  }

  #said(what: string): string {
    return `Brick ${brickText(this.#record)} ${what}`;
  }

  // One step at a time. A step that failed does not keep the next one from being taken.
  #next(step: () => Promise<void>): Promise<void> {
    const done = this.#steps.then(step);
    this.#steps = done.catch(() => {});
    return done;
  }

  async #up(): Promise<void> {
    if (this.#process?.alive && this.#port !== undefined) return;
    this.#again?.cancel();
    this.#starting = true;
    try {
      await this.#shared.starts.run(() => this.#bringUp());
      if (!this.#process) throw new Refusal(this.#said("ended as soon as it had started"));
    } catch (error) {
      const refusal = error instanceof Refusal
        ? error
        : new Refusal(this.#said(`did not start: ${plain(error)}`));
      if (this.#wanted) {
        this.#why = refusal.message;
        this.#shared.env.log.error("brick did not start", { ...this.#named, why: this.#why });
        this.#tryAgain();
      }
      throw refusal;
    } finally {
      this.#starting = false;
    }
  }

  async #bringUp(): Promise<void> {
    this.#unwanted.signal.throwIfAborted();
    if (this.#process?.alive) {
      if (this.#isExpected) return this.#expectSignIn();
      const ms = this.#inherited ? MISLED_MS : UP_MS;
      if (await this.#comesUp(this.#process, ms) === "online") return;
      await this.#down();
    }
    const { files } = this;
    for (let tries = 1;; tries++) {
      // First of all, so that bricks of a volume get theirs in its order.
      const port = this.#takePort();
      let from: number;
      try {
        from = await this.#prepare();
        this.#start(port);
      } catch (error) {
        this.#givePort();
        throw error;
      }
      const process = this.#process!;
      const outcome = await this.#comesUp(process);
      if (outcome === "online") return;
      if (outcome !== "late" && tries < PORT_TRIES) {
        const other = await this.#holder();
        if (other && this.adopt(other) && await this.#comesUp(other) === "online") return;
        if (!this.#isFree(port)) continue;
      }
      if (outcome === "late") await this.#down();
      const words = await lastLine(files.logFile, from);
      const why = outcome === "late"
        ? `did not come up within ${UP_MS / 1000} s`
        : `did not start: it ended with ${how(outcome)}`;
      throw new Refusal(
        this.#said(words === undefined ? `${why}; see ${files.logFile}` : `${why}: ${words}`),
      );
    }
  }

  // It serves meanwhile.
  #expectSignIn(): void {
    this.#signInBy ??= this.#shared.env.clock.after(UP_MS, () => {
      this.#shared.env.log.warn("brick does not find the management daemon: started anew", {
        ...this.#named,
        pid: this.pid ?? 0,
      });
      this.#next(async () => {
        if (!this.#wanted || !this.#inherited) return;
        await this.#down();
        await this.#up();
      }).catch(() => {}); // it logged why not
    });
  }

  #forgetInherited(): void {
    this.#inherited = undefined;
    this.#signInBy?.cancel();
    this.#signInBy = undefined;
  }

  // Makes room for its files; answers where its log goes on.
  async #prepare(): Promise<number> {
    const { pidFile, socket, logFile } = this.files;
    const places = [parent(pidFile), parent(logFile)];
    try {
      for (const path of places) await Deno.mkdir(path, { recursive: true });
      await removeStaleSocket(socket);
      return await openLog(logFile);
    } catch (error) {
      throw new Refusal(
        this.#said(
          `did not start: no files can be made in ${places.join(" or ")}: ${plain(error)}`,
        ),
      );
    }
  }

  // An earlier daemon may have started one that had no pid file yet when we looked.
  async #holder(): Promise<Running | undefined> {
    const pid = await pidIn(this.files.pidFile);
    const process = pid === undefined ? undefined : this.#shared.runner.find(pid);
    return process && this.isOurs(process) ? process : undefined;
  }

  #isFree(port: number): boolean {
    const { ports } = this.#shared;
    const free = ports.take(port) === port;
    if (free) ports.give(port);
    return free;
  }

  #takePort(): number {
    const { ports } = this.#shared;
    this.#heldPort = ports.take(this.#record.port);
    if (this.#heldPort !== undefined) return this.#heldPort;
    const { base, max } = ports.range;
    throw new Refusal(
      this.#said(`did not start: no port from ${base} to ${max} is free; end what listens there`),
    );
  }

  #start(port: number): void {
    const { runner, program, nodeId, server, env } = this.#shared;
    const { volume, files } = this;
    const { command, args } = program("brick");
    const own = { volume, files, port, nodeId, path: this.#record.path };
    const line = {
      command,
      args: [...args, ...brickArguments({ ...own, server: server() })],
    };
    this.#follow(runner.start(line, files.logFile));
    env.log.info("brick started", { ...this.#named, port, pid: this.#process!.pid });
  }

  #follow(process: Running): void {
    this.#process = process;
    this.#since = this.#shared.env.clock.monotonic();
    this.#signedOut = false;
    this.#why = "it has not signed in yet";
    process.ended.then((exit) => this.#ended(process, exit));
  }

  /** Waits until it is online, or ended, or too late. Throws Refusal if it is not wanted any more. */
  async #comesUp(process: Running, ms = UP_MS): Promise<"online" | "late" | Exit> {
    if (this.#port !== undefined) return "online";
    const decided = new AbortController();
    const signal = AbortSignal.any([decided.signal, this.#unwanted.signal]);
    const late = this.#shared.env.clock.delay(ms, signal).then(() => "late" as const);
    try {
      return await Promise.race([
        this.#online.promise.then(() => "online" as const),
        process.ended,
        late,
      ]);
    } finally {
      late.catch(() => {});
      decided.abort();
    }
  }

  #ended(process: Running, exit: Exit): void {
    if (this.#process !== process) return;
    const { env, restart } = this.#shared;
    const inOrder = exit.code === 0 || (exit.code === undefined && this.#signedOut);
    this.#gone();
    if (!this.#wanted || this.#starting) return;
    if (env.clock.monotonic() - this.#since >= SOUND_MS) this.#pauseMs = PAUSE_MS;
    this.#why = inOrder
      ? 'it was ended in order; "volume start" with force runs it again'
      : `it ended with ${how(exit)}; see ${this.files.logFile}`;
    env.log.warn("brick ended", { ...this.#named, pid: process.pid, why: this.#why });
    if (!inOrder && restart) this.#tryAgain();
  }

  #tryAgain(): void {
    const { env, restart } = this.#shared;
    if (!restart) return;
    const pause = this.#pauseMs;
    this.#pauseMs = Math.min(2 * pause, PAUSE_MAX_MS);
    this.#why += `; started again in ${pause / 1000} s`;
    this.#again?.cancel();
    this.#again = env.clock.after(pause, () => {
      env.log.info("brick is started again", { ...this.#named });
      // It logged why not.
      this.#next(() => this.#wanted ? this.#up() : Promise.resolve()).catch(() => {});
    });
  }

  async #down(): Promise<void> {
    const process = this.#process;
    if (process?.alive) {
      const outcome = await endProcess(process, this.#shared.env.clock);
      const told = { ...this.#named, pid: process.pid };
      if (outcome === "killed") this.#shared.env.log.warn("brick did not end: killed", told);
      if (outcome === "hangs") {
        throw new Refusal(
          this.#said(`does not end: process ${process.pid} hangs in the kernel; look at its disk`),
        );
      }
    }
    this.#gone();
    this.#why = undefined;
    for (const path of [this.files.pidFile, this.files.socket]) await removeIfThere(path);
  }

  #gone(): void {
    this.#process = undefined;
    this.#forgetInherited();
    if (this.#port !== undefined) this.#online = Promise.withResolvers();
    this.#port = undefined;
    this.#link.close();
    this.#givePort();
  }

  #givePort(): void {
    if (this.#heldPort !== undefined) this.#shared.ports.give(this.#heldPort);
    this.#heldPort = undefined;
  }

  get #named() {
    return { volume: this.volume, brick: this.#record.path };
  }
}

/** How a process ended, for people. */
function how({ code, signal }: Exit): string {
  if (signal !== undefined) return `signal ${signal}`;
  return code === undefined ? "nobody there to see how" : `exit code ${code}`;
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
