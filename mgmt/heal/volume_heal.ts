/**
 * The healing of one volume: connections to its bricks, a healer per set of copies, and when they
 * work: at the start, when a brick comes back, every heal-timeout, and when asked. A set is crawled by
 * one crawl at a time.
 */

import type { Env, Timer } from "core/env.ts";
import { FopError } from "core/errno.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { copyStates, type HealCounts, type Healer, type RightCopy } from "core/healer.ts";
import { InodeTable } from "core/inode.ts";
import { bool, duration } from "core/options.ts";
import type { VolumeBlock } from "core/volfile.ts";
import type { Json } from "core/xlator.ts";
import type { BrickCount, BrickFiles, CrawlRecord, Decided, HealFile } from "mgmt/heal/orders.ts";
import { HEALERS, TYPES } from "xlators/mod.ts";

const CLIENT = "protocol/client";
const SWITCH = bool({ default: true, help: "" });
const PERIOD = duration({ default: 600, min: 1, help: "" });
/** Files that a brick is asked for at most. */
const FILES_MAX = 10_000;
/** Crawls of the past that are remembered, per set. */
const CRAWLS_MAX = 50;
/** After a crawl that left something: the copy that was missing may be there, the lock free. */
const AGAIN_MS = 15_000;
/** How long a brick that is being connected to is waited for by who asks about it. */
const SETTLE_MS = 5000, LOOK_MS = 50;

/** A set, and what is under way in it. */
interface SetWork {
  readonly healer: Healer;
  wanted: "index" | "full" | undefined;
  running: Promise<void> | undefined;
  readonly crawls: CrawlRecord[];
}

/** See the head of this file. */
export class VolumeHeal {
  readonly #env: Env;
  readonly #stopped = new AbortController();
  readonly #clients = new Map<string, Graph>();
  readonly #sets: SetWork[] = [];
  readonly #connected = new Set<string>();
  /** When (monotonic milliseconds) a brick went away, or was first tried. */
  readonly #awaySince = new Map<string, number>();
  #blocks: readonly VolumeBlock[];
  #timer: Timer | undefined;
  #again: Timer | undefined;

  /** `blocks`: the graph of the volume's healer. Throws RangeError if it cannot be built. */
  constructor(env: Env, readonly name: string, blocks: readonly VolumeBlock[]) {
    this.#env = env;
    this.#blocks = blocks;
    const inodes = new InodeTable();
    for (const block of blocks) {
      if (block.type !== CLIENT) continue;
      const graph = buildGraph([block], TYPES, env, inodes);
      graph.top.listen(({ type }) => {
        if (type === "child-up") this.#came(block.name);
        else if (type === "child-down") this.#went(block.name);
      });
      this.#awaySince.set(block.name, env.clock.monotonic());
      this.#clients.set(block.name, graph);
    }
    for (const block of blocks) {
      const make = HEALERS.get(block.type);
      if (!make) continue;
      const copies = block.subvolumes.map((each) => this.#clients.get(each)?.top);
      if (copies.some((copy) => copy === undefined)) continue;
      const { name, options } = block;
      const set = { name, copies: copies.map((copy) => copy!), options, env, inodes };
      this.#sets.push({ healer: make(set), wanted: undefined, running: undefined, crawls: [] });
    }
  }

  /** Connects, and begins to heal. */
  async start(): Promise<void> {
    this.#schedule();
    await Promise.all([...this.#clients.values()].map((graph) => graph.start()));
    this.heal("index");
  }

  /** Ends what is under way and the connections. What is half healed stays marked. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#timer?.cancel();
    this.#again?.cancel();
    await Promise.all([...this.#clients.values()].map((graph) => graph.stop()));
    await Promise.all(this.#sets.map(({ running }) => running));
  }

  /** Takes over a changed graph; false if it needs new connections. */
  reconfigure(blocks: readonly VolumeBlock[]): boolean {
    const shape = (all: readonly VolumeBlock[]) =>
      all.filter(({ type }) => type === CLIENT || HEALERS.has(type))
        .map(({ name, type, subvolumes }) => [name, type, ...subvolumes].join(" ")).join("\n");
    if (shape(blocks) !== shape(this.#blocks)) return false;
    for (const block of blocks) {
      const client = block.type === CLIENT ? this.#clients.get(block.name) : undefined;
      if (client && !client.reconfigure([block])) return false;
      const set = this.#sets.find(({ healer }) => healer.name === block.name);
      set?.healer.reconfigure(block.options);
    }
    const wasOn = this.#isOn;
    this.#blocks = blocks;
    this.#schedule();
    if (this.#isOn && !wasOn) this.heal("index");
    return true;
  }

  get #isOn(): boolean {
    return this.#option("self-heal-daemon", (text) => SWITCH.parse(text), true);
  }

  #option<T>(name: string, parse: (text: string) => T, otherwise: T): T {
    for (const block of this.#blocks) {
      const text = HEALERS.has(block.type) ? block.options.get(name) : undefined;
      if (text === undefined) continue;
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
    return otherwise;
  }

  #schedule(): void {
    this.#timer?.cancel();
    const seconds = this.#option("heal-timeout", (text) => PERIOD.parse(text), 600);
    this.#timer = this.#env.clock.every(seconds * 1000, () => this.heal("index"));
  }

  #came(brick: string): void {
    this.#connected.add(brick);
    for (const set of this.#sets) if (set.healer.copies.includes(brick)) this.#want(set, "index");
  }

  #went(brick: string): void {
    if (this.#connected.delete(brick)) {
      this.#awaySince.set(brick, this.#env.clock.monotonic());
    }
  }

  // Who asks right after a start would be told that bricks are away which are about to be there.
  async #settled(brick: string): Promise<void> {
    const { clock } = this.#env;
    const until = (this.#awaySince.get(brick) ?? 0) + SETTLE_MS;
    while (!this.#connected.has(brick) && clock.monotonic() < until) await clock.delay(LOOK_MS);
  }

  /** Bricks that are not reached now. */
  async away(): Promise<string[]> {
    await Promise.all([...this.#clients.keys()].map((brick) => this.#settled(brick)));
    return [...this.#clients.keys()].filter((name) => !this.#connected.has(name));
  }

  /** Wants all sets crawled; resolves at once. */
  heal(what: "index" | "full"): void {
    for (const set of this.#sets) this.#want(set, what);
  }

  #want(set: SetWork, what: "index" | "full"): void {
    if (this.#stopped.signal.aborted || !this.#isOn) return;
    if (set.wanted !== "full") set.wanted = what;
    set.running ??= this.#work(set).finally(() => set.running = undefined);
  }

  async #work(set: SetWork): Promise<void> {
    for (let what = set.wanted; what; what = set.wanted) {
      set.wanted = undefined;
      if (this.#stopped.signal.aborted) return;
      const counts = await this.#crawl(set, what);
      if (counts.failed) this.#tryAgain();
    }
  }

  #tryAgain(): void {
    this.#again?.cancel();
    this.#again = this.#env.clock.after(AGAIN_MS, () => this.heal("index"));
  }

  async #crawl({ healer, crawls }: SetWork, what: "index" | "full"): Promise<HealCounts> {
    const { clock, log } = this.#env;
    const { signal } = this.#stopped;
    const began: CrawlRecord = {
      set: healer.name,
      type: what === "full" ? "FULL" : "INDEX",
      begin: clock.now(),
      end: null,
      healed: 0,
      splitBrain: 0,
      failed: 0,
    };
    crawls.push(began);
    if (crawls.length > CRAWLS_MAX) crawls.shift();
    const counts = what === "full" ? await healer.healAll(signal) : await healer.healIndex(signal);
    crawls[crawls.indexOf(began)] = { ...began, ...counts, end: clock.now() };
    if (counts.healed || counts.splitBrain || counts.failed) {
      log.info("crawl is over", { volume: this.name, set: healer.name, what, ...counts });
    }
    return counts;
  }

  /** Crawls that were, and that are under way. */
  get crawls(): CrawlRecord[] {
    return this.#sets.flatMap(({ crawls }) => crawls);
  }

  /** How many files each brick lists. */
  counts(): Promise<BrickCount[]> {
    return Promise.all([...this.#clients.keys()].map(async (brick) => {
      await this.#settled(brick);
      const { healer, copy } = this.#copyOf(brick)!;
      return { brick, count: await healer.count(copy).catch(nullIfAway) };
    }));
  }

  #copyOf(brick: string): { healer: Healer; copy: number } | undefined {
    for (const { healer } of this.#sets) {
      const copy = healer.copies.indexOf(brick);
      if (copy >= 0) return { healer, copy };
    }
    return undefined;
  }

  /** Files that a brick lists. */
  async entries(brick: string): Promise<BrickFiles> {
    const found = this.#copyOf(brick);
    if (!found) return {};
    await this.#settled(brick);
    const files: HealFile[] = [];
    try {
      for await (const { gfid, path, state } of found.healer.entries(found.copy)) {
        if (files.length === FILES_MAX) return { files, cut: true };
        files.push({ gfid, path: path ?? `<gfid:${gfid}>`, state });
      }
    } catch (error) {
      nullIfAway(error);
      return {};
    }
    return { files };
  }

  /** Ends split-brains: of `file`, or of all files. */
  async decide(
    file: string | undefined,
    right: { readonly brick: string } | "size" | "mtime",
  ): Promise<Decided[]> {
    const decided: Decided[] = [];
    for (const { healer } of this.#sets) {
      const copy: RightCopy = typeof right === "string"
        ? right
        : healer.copies.indexOf(right.brick);
      if (copy === -1) continue;
      const files = file === undefined ? await this.#splitFiles(healer) : [file];
      for (const each of files) {
        const outcome = await healer.decide(each, copy);
        decided.push({ file: each, outcome });
      }
    }
    // A file is in one set: what the others do not find says nothing.
    const known = decided.filter(({ outcome }) => outcome !== "not found");
    return known.length ? known : decided.slice(0, 1);
  }

  async #splitFiles(healer: Healer): Promise<string[]> {
    const files = new Set<string>();
    for (let copy = 0; copy < healer.copies.length; copy++) {
      try {
        for await (const { gfid, state } of healer.entries(copy)) {
          if (state === "split-brain") files.add(`gfid:${gfid}`);
        }
      } catch (error) {
        nullIfAway(error);
      }
    }
    return [...files];
  }

  /** For statedumps: each set of copies, titled as clients title it. */
  *sets(): Generator<{ readonly title: string; readonly state: Json }> {
    for (const { healer: { name, copies } } of this.#sets) {
      const keys = copies.map((copy) => `trusted.afr.${copy}`);
      const up = copies.map((copy) => this.#connected.has(copy));
      yield { title: `cluster/replicate.${name}`, state: copyStates(keys, up) };
    }
  }

  /** For statedumps. */
  state(): Json {
    return {
      on: this.#isOn,
      away: [...this.#awaySince.keys()].filter((name) => !this.#connected.has(name)),
      sets: this.#sets.map(({ healer, running }) => ({
        name: healer.name,
        crawls: running !== undefined,
      })),
    };
  }
}

function nullIfAway(error: unknown): null {
  if (error instanceof FopError) return null;
  throw error;
}
