/**
 * The brick processes of this node, one per brick. They are in sessions of their own and serve on
 * while the daemon is down; the next daemon finds them by pid files and command lines, and they find
 * it by themselves: every brick signs in again.
 */

import type { Env } from "core/env.ts";
import { allDone } from "core/lib/all_done.ts";
import { Window } from "core/lib/window.ts";
import { xxh64 } from "core/lib/xxh64.ts";
import type { Bricks, BrickStatus, ConvergeOptions } from "mgmt/bricks/bricks.ts";
import { isRestoring, readBrickArguments, restoreArguments } from "mgmt/bricks/command_line.ts";
import { endProcess } from "mgmt/bricks/ending.ts";
import { lastLine, openLog } from "mgmt/bricks/log_tail.ts";
import { Ports } from "mgmt/bricks/ports.ts";
import type { CommandLine, Runner, Running } from "mgmt/bricks/runner.ts";
import { entriesOf, pidIn, removeIfEmpty, removeIfThere } from "mgmt/files.ts";
import { SupervisedBrick, type Supervision } from "mgmt/bricks/supervised_brick.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { type BrickFiles, brickFiles, type Places } from "mgmt/home.ts";
import { plain } from "mgmt/plain.ts";
import type { PortmapEars, SignedIn } from "mgmt/portmap.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import type { Signature } from "rpc/program.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** What the processes are made of. */
export interface BrickProcessesOptions {
  readonly env: Env;
  readonly places: Places;
  /** UUID of this node: bricks of others are left alone. */
  readonly nodeId: string;
  readonly runner: Runner;
  /** This program in a role: `program`, or the one-file executable. */
  readonly program: (role: "brick") => CommandLine;
  /** Where a brick finds this daemon, now that it listens. */
  readonly server: Supervision["server"];
  /** Whether bricks that die are started again; GlusterFS's daemon does not. */
  readonly restart: boolean;
  /** GlusterFS's range if absent. */
  readonly ports?: Ports;
  /** How many come up at once; 4 if absent. */
  readonly startsMax?: number;
  /** Told when a brick serves on another port than its record has: it is asked for at the next start. */
  readonly served?: Supervision["served"];
}

const STARTS_MAX = 4;

/** Files of a brick of `volume`. The socket's name comes from all of the brick's address. */
export function filesOf(places: Places, volume: string, brick: BrickRecord): BrickFiles {
  const id = xxh64(new TextEncoder().encode(`${places.run}\0${volume}\0${brickText(brick)}`));
  return brickFiles(places, volume, brick, id);
}

/** See the head of this file. */
export class BrickProcesses implements Bricks {
  readonly #options: BrickProcessesOptions;
  readonly #shared: Supervision;
  // By path: on one node a directory is a brick once.
  readonly #bricks = new Map<string, SupervisedBrick>();
  readonly #signedIn = new Map<string, SignedIn>();
  #survivors: Map<string, Running> | undefined;
  #adopted = false;
  #stopped = false;

  constructor(options: BrickProcessesOptions) {
    this.#options = options;
    this.#shared = {
      ...options,
      ports: options.ports ?? new Ports(),
      starts: new Window(options.startsMax ?? STARTS_MAX),
      served: options.served ?? (() => {}),
    };
  }

  async adopt(volumes: readonly VolumeRecord[]): Promise<void> {
    const started = volumes.filter(({ state }) => state === "started");
    for (const volume of started) {
      for (const brick of this.#own(volume)) await this.#brick(volume, brick);
    }
    this.#adopted = true;
    await Promise.all(
      [...this.#survived].map(([pidFile, process]) => this.#clear(pidFile, process)),
    );
    this.#survived.clear();
    const names = new Set(started.map(({ name }) => name));
    await this.#sweep(names);
  }

  async converge(volume: VolumeRecord, { force = false }: ConvergeOptions = {}): Promise<void> {
    const wanted = volume.state === "started" ? this.#own(volume) : [];
    const paths = new Set(wanted.map(({ path }) => path));
    await this.#meet(volume);
    await allDone(
      this.#of(volume).filter(([path]) => !paths.has(path)).map(([path]) => this.#end(path)),
    );
    await allDone(wanted.map(async (record) => {
      const brick = await this.#brick(volume, record);
      await brick.run({ force });
    }));
  }

  async forget(volume: VolumeRecord): Promise<void> {
    await this.#meet(volume);
    await allDone(this.#of(volume).map(([path]) => this.#end(path)));
    await removeIfEmpty(this.#directory(volume.name));
  }

  status(volume: VolumeRecord, brick: BrickRecord): BrickStatus {
    return this.#find(volume, brick)?.status ??
      { online: false, pid: undefined, port: undefined, why: undefined };
  }

  async ask<A, R>(
    volume: VolumeRecord,
    brick: BrickRecord,
    signature: Signature<A, R>,
    args: A,
  ): Promise<R> {
    return await this.#known(volume, brick).ask(signature, args);
  }

  async restore(
    volume: VolumeRecord,
    record: BrickRecord,
    snapshot: string,
    missedBy: readonly string[],
  ): Promise<void> {
    const { runner, program, places, server, nodeId } = this.#options;
    const files = filesOf(places, volume.name, record);
    // What an earlier daemon began goes on by itself.
    for (const { pid, args } of runner.list()) {
      if (isRestoring(args, files.pidFile)) await runner.find(pid)?.ended;
    }
    for (const path of [files.pidFile, files.logFile]) {
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    }
    const { command, args } = program("brick"), from = await openLog(files.logFile);
    const line = [...args, ...restoreArguments(files, server(), nodeId, snapshot, missedBy)];
    const { code } = await runner.start({ command, args: line }, files.logFile).ended;
    if (code === 0) return;
    const why = await lastLine(files.logFile, from) ?? "its process ended";
    throw new Refusal(`Brick ${brickText(record)} was not restored: ${why}`);
  }

  // deno-lint-ignore require-await -- what it throws is the promise's failure
  async rotateLog(volume: VolumeRecord, brick: BrickRecord, key: number): Promise<void> {
    this.#known(volume, brick).rotateLog(key);
  }

  // deno-lint-ignore require-await -- others may have to wait
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const brick of this.#bricks.values()) brick.leave();
    this.#bricks.clear();
  }

  /** Where the brick at `path` serves, if it is known to, even if it has not signed in here. */
  portOf(path: string): number | undefined {
    return this.#bricks.get(path)?.status.port;
  }

  /** What the portmap tells us. */
  readonly ears: PortmapEars = {
    signedIn: (entry) => this.#signIn(entry),
    signedOut: (brick) => this.#signedOff(brick, { inOrder: true }),
    gone: (brick) => this.#signedOff(brick, { inOrder: false }),
  };

  #signIn(entry: SignedIn): void {
    this.#signedIn.set(entry.brick, entry);
    const brick = this.#bricks.get(entry.brick);
    if (brick?.pid === entry.pid) return brick.signedIn(entry);
    const process = this.#options.runner.find(entry.pid);
    if (!process || !this.#isOurs(process)) return;
    if (brick?.isOurs(process) && brick.adopt(process)) return brick.signedIn(entry);
    if (!this.#adopted) return;
    this.#options.env.log.warn("brick process that no volume has is ended", { ...entry });
    process.signal("SIGTERM");
  }

  #signedOff(brick: string, how: { inOrder: boolean }): void {
    this.#signedIn.delete(brick);
    this.#bricks.get(brick)?.signedOff(how);
  }

  #own(volume: VolumeRecord): readonly BrickRecord[] {
    return volume.bricks.filter(({ nodeId }) => nodeId === this.#options.nodeId);
  }

  #of(volume: VolumeRecord): [string, SupervisedBrick][] {
    return [...this.#bricks].filter(([, brick]) => brick.volume === volume.name);
  }

  #find(volume: VolumeRecord, { path }: BrickRecord): SupervisedBrick | undefined {
    const brick = this.#bricks.get(path);
    return brick?.volume === volume.name ? brick : undefined;
  }

  #known(volume: VolumeRecord, brick: BrickRecord): SupervisedBrick {
    const found = this.#find(volume, brick);
    if (found) return found;
    throw new Refusal(`Brick ${brickText(brick)} is down: it was not started`);
  }

  // A daemon that just began may not know what runs yet.
  async #meet(volume: VolumeRecord): Promise<void> {
    for (const brick of this.#own(volume)) {
      if (!this.#bricks.has(brick.path)) await this.#brick(volume, brick);
    }
  }

  // The brick, with its process if one is there.
  async #brick(volume: VolumeRecord, record: BrickRecord): Promise<SupervisedBrick> {
    const before = this.#bricks.get(record.path);
    if (before?.volume === volume.name) {
      before.record = record;
      return before;
    }
    if (before) await this.#end(record.path);
    if (this.#stopped) throw new Refusal("The management daemon ends: ask the next one");
    const files = filesOf(this.#options.places, volume.name, record);
    const brick = new SupervisedBrick(this.#shared, volume.name, record, files);
    this.#bricks.set(record.path, brick);
    const process = this.#survived.get(files.pidFile);
    if (process && brick.isOurs(process) && brick.adopt(process)) {
      this.#survived.delete(files.pidFile);
      const entry = this.#signedIn.get(record.path);
      if (entry?.pid === process.pid) brick.signedIn(entry);
      this.#options.env.log.info("brick runs already", {
        volume: volume.name,
        brick: record.path,
        pid: process.pid,
      });
    }
    return brick;
  }

  async #end(path: string): Promise<void> {
    const brick = this.#bricks.get(path);
    await brick?.end();
    // Somebody may want it again by now.
    if (this.#bricks.get(path) === brick && !brick?.wanted) this.#bricks.delete(path);
  }

  // Processes of ours by pid file, as they were when we first looked: found by their command lines,
  // so that one is not missed whose pid file is not written yet, or was removed.
  get #survived(): Map<string, Running> {
    if (this.#survivors) return this.#survivors;
    const { runner } = this.#options;
    this.#survivors = new Map();
    for (const { pid, args } of runner.list()) {
      const told = readBrickArguments(args);
      if (!told?.pidFile.startsWith(this.#vols)) continue;
      const process = runner.find(pid);
      if (process) this.#survivors.set(told.pidFile, process);
    }
    return this.#survivors;
  }

  get #vols(): string {
    return `${this.#options.places.run}/vols/`;
  }

  #directory(volume: string): string {
    return `${this.#vols}${volume}`;
  }

  #isOurs({ args }: Running): boolean {
    return readBrickArguments(args)?.pidFile.startsWith(this.#vols) ?? false;
  }

  // Ends a process that no volume has, and removes what it leaves.
  async #clear(pidFile: string, process: Running): Promise<void> {
    const { env, places } = this.#options;
    const told = readBrickArguments(process.args);
    if (!told) return;
    env.log.warn("brick process that no volume has is ended", { pid: process.pid, pidFile });
    await endProcess(process, env.clock);
    await removeIfThere(pidFile);
    if (told.socket.startsWith(`${places.run}/`)) await removeIfThere(told.socket);
  }

  // What processes left behind that were killed while no daemon ran.
  async #sweep(started: ReadonlySet<string>): Promise<void> {
    const { run } = this.#options.places;
    for (const { name, isFile } of await entriesOf(run)) {
      if (isFile || !/^[0-9a-f]{16}\.socket$/.test(name)) continue;
      await removeStaleSocket(`${run}/${name}`).catch((error) =>
        this.#options.env.log.warn("socket is left as it is", { socket: name, why: plain(error) })
      );
    }
    for (const { name } of await entriesOf(this.#vols)) {
      if (started.has(name)) continue;
      for (const { name: file } of await entriesOf(this.#directory(name))) {
        const path = `${this.#directory(name)}/${file}`;
        if (file.endsWith(".pid") && !await this.#lives(path)) await removeIfThere(path);
      }
      await removeIfEmpty(this.#directory(name));
    }
  }

  async #lives(pidFile: string): Promise<boolean> {
    const pid = await pidIn(pidFile);
    const process = pid === undefined ? undefined : this.#options.runner.find(pid);
    return process !== undefined && process.args.includes(pidFile);
  }
}
