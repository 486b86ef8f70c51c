/**
 * A brick's history: old states of its files, kept beside them, and who reads them. The design, and
 * what it promises: docs/design/snapshots.md.
 *
 * Changes go through `change`, after what they are about to change was preserved by `preserve`. A
 * reader begins (`take`) when no change is under way, and sees all that was done before.
 */

import type { Env } from "core/env.ts";
import { EEXIST, ENOENT } from "core/errno.ts";
import { Collector } from "snapshot/engine/collect.ts";
import type { Sides } from "snapshot/engine/diff.ts";
import { Gate } from "snapshot/engine/gate.ts";
import { type Durability, Journal } from "snapshot/engine/journal.ts";
import { KeptFiles } from "snapshot/engine/kept.ts";
import type { Live } from "snapshot/engine/live.ts";
import { Preserver } from "snapshot/engine/preserve.ts";
import { Readers } from "snapshot/engine/readers.ts";
import { recover } from "snapshot/engine/recover.ts";
import { Segments, syncDirectory } from "snapshot/engine/segments.ts";
import { HistoryStore, type Reader } from "snapshot/engine/store.ts";
import { View } from "snapshot/engine/view.ts";

/** Where a history is, and of what. */
export interface HistoryOptions {
  /** A directory of the brick outside of the volume, on the same file system; it is made if it is not there. */
  readonly directory: string;
  readonly live: Live;
  readonly durability: Durability;
  readonly env: Env;
}

/** See the head of this file. */
export class History {
  readonly readers = new Readers();
  readonly preserve: Preserver;
  readonly #store: HistoryStore;
  readonly #segments: Segments;
  readonly #journal: Journal;
  readonly #kept: KeptFiles;
  readonly #collector: Collector;
  readonly #gate = new Gate();
  readonly #directory: string;
  readonly #live: Live;
  readonly #env: Env;
  #views = new Map<string, View>();

  private constructor({ directory, live, durability, env }: HistoryOptions) {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = `${directory}/index.sqlite`;
    const store = this.#store = HistoryStore.open(path);
    const segments = this.#segments = Segments.open(`${directory}/segments`);
    const journal = this.#journal = new Journal(store, segments, path, durability);
    const kept = this.#kept = new KeptFiles(`${directory}/kept`, store, journal, live);
    this.#directory = directory;
    this.#live = live;
    this.#env = env;
    const { readers } = this;
    this.preserve = new Preserver({
      ...{ store, journal, segments, kept, live, readers },
      moved: (gfid, units) => {
        for (const view of this.#views.values()) view.moved(gfid, units);
      },
    });
    const { clock } = env;
    this.#collector = new Collector({ store, journal, segments, kept, readers, clock });
  }

  /** Opens the history of a brick, or begins one. Throws HistoryError: it cannot be used. */
  static async open(options: HistoryOptions): Promise<History> {
    const history = new History(options);
    await history.#start();
    return history;
  }

  async #start(): Promise<void> {
    const parts = { store: this.#store, segments: this.#segments, kept: this.#kept };
    if (this.#store.isOpen) await recover(parts);
    this.#store.isOpen = true;
    await this.#journal.sync();
    await syncDirectory(this.#directory);
    this.readers.set(this.#store.readers());
    this.#collect();
  }

  /** Ends what is under way; changes have ended before. */
  async close(): Promise<void> {
    await this.#collector.stop();
    await this.#journal.settled();
    await this.#journal.sync();
    this.#store.isOpen = false;
    this.#kept[Symbol.dispose]();
    this.#segments[Symbol.dispose]();
    this.#store.close();
  }

  get durability(): Durability {
    return this.#journal.durability;
  }

  set durability(durability: Durability) {
    this.#journal.durability = durability;
  }

  /** Runs a change of live files, preserving included: in no reader's beginning. */
  change<T>(change: () => Promise<T>): Promise<T> {
    return this.#gate.pass(change);
  }

  /**
   * Begins a reader: it sees all that was changed until now and nothing that comes. Resolves when
   * that is on the disk. EEXIST: there is a reader with its id, or its epoch has ended. With the
   * signal it ends at once, with its reason, and nothing has changed.
   */
  async take(reader: Reader, signal?: AbortSignal): Promise<void> {
    const store = this.#store;
    if (this.readers.get(reader.id) || reader.epoch < store.epoch()) throw EEXIST;
    signal?.throwIfAborted();
    const abort = () => this.#gate.open();
    signal?.addEventListener("abort", abort);
    try {
      if (!await this.#gate.close()) throw signal?.reason;
      await this.#journal.add(() => {
        store.putReader(reader);
        store.reachEpoch(reader.epoch + 1);
      });
      this.readers.set(store.readers());
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#gate.open();
    }
    await this.#journal.sync();
  }

  /** Changes the name of a reader, what it is, or whether it may be looked at. ENOENT: there is none. */
  async update(
    id: string,
    change: Partial<Pick<Reader, "name" | "kind" | "active">>,
  ): Promise<void> {
    const reader = this.readers.get(id);
    if (!reader) throw ENOENT;
    await this.#journal.add(() => this.#store.putReader({ ...reader, ...change }));
    this.readers.set(this.#store.readers());
    await this.#journal.sync();
  }

  /** Ends a reader; what only it needed goes in the background. ENOENT: there is none. */
  async remove(id: string): Promise<void> {
    const reader = this.readers.get(id);
    if (!reader) throw ENOENT;
    await this.#journal.add(() => this.#store.removeReader(reader));
    this.readers.set(this.#store.readers());
    this.#views.delete(id);
    await this.#journal.sync();
    this.#collect();
  }

  /** What a reader sees; undefined: there is none with this id. */
  view(id: string): View | undefined {
    const reader = this.readers.get(id);
    if (!reader) return undefined;
    let view = this.#views.get(id);
    if (!view) {
      const parts = {
        ...{ store: this.#store, segments: this.#segments },
        ...{ kept: this.#kept, live: this.#live },
      };
      this.#views.set(id, view = new View(parts, reader.epoch));
    }
    return view;
  }

  /** Two readers beside each other, or one and the live files; undefined: there is no such reader. */
  sides(before: string, after?: string): Sides | undefined {
    const older = this.view(before), newer = after === undefined ? this.#live : this.view(after);
    if (!older || !newer) return undefined;
    const until = after === undefined ? Number.MAX_SAFE_INTEGER : this.readers.get(after)!.epoch;
    return { store: this.#store, before: older, after: newer, until };
  }

  /** Resolves when nothing is left of readers that went. */
  collected(): Promise<void> {
    return this.#collector.run();
  }

  /** Rows of the index, readers aside, and bytes of old data that rows name. */
  usage(): { rows: number; bytes: number } {
    const bytes = [...this.#store.segments().values()].reduce((sum, live) => sum + live, 0);
    return { rows: this.#store.rows(), bytes };
  }

  #collect(): void {
    this.#collector.run().catch((error) => {
      this.#env.log.warn("old data of removed snapshots stays for now", { error: String(error) });
    });
  }
}
