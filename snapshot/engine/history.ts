/**
 * A brick's history: old states of its files, kept beside them, and who reads them. The design, and
 * what it promises: docs/design/snapshots.md.
 *
 * Changes go through `change`, after what they are about to change was preserved by `preserve`. A
 * reader begins (`take`) when no change is under way, and sees all that was done before.
 */

import type { Env } from "core/env.ts";
import { exists } from "core/lib/files.ts";
import type { ReaderUsage } from "core/history_orders.ts";
import { EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOSPC } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { Clone } from "snapshot/engine/clone.ts";
import { Clones } from "snapshot/engine/clones.ts";
import { Collector } from "snapshot/engine/collect.ts";
import { CopyIn } from "snapshot/engine/copy_in.ts";
import { CopyOut } from "snapshot/engine/copy_out.ts";
import type { Sides } from "snapshot/engine/diff.ts";
import type { Foreign } from "core/foreign.ts";
import { Gate } from "snapshot/engine/gate.ts";
import { type Durability, Journal } from "snapshot/engine/journal.ts";
import { KeptFiles } from "snapshot/engine/kept.ts";
import type { Live } from "snapshot/engine/live.ts";
import { Notes } from "snapshot/engine/notes.ts";
import { Preserver } from "snapshot/engine/preserve.ts";
import { Readers } from "snapshot/engine/readers.ts";
import { putNotes, recover } from "snapshot/engine/recover.ts";
import { Reserve } from "snapshot/engine/reserve.ts";
import { Segments, syncDirectory, syncFileSystem } from "snapshot/engine/segments.ts";
import { HistoryError, HistoryStore, type Reader } from "snapshot/engine/store.ts";
import { refuseUnkept } from "snapshot/engine/unkept.ts";
import { usageByReader } from "snapshot/engine/usage.ts";
import { UNIT } from "snapshot/engine/units.ts";
import { View } from "snapshot/engine/view.ts";
import { Room } from "snapshot/engine/window.ts";

/** Where a history is, and of what. */
export interface HistoryOptions {
  /** A directory of the brick outside of the volume, on the same file system; it is made if it is not there. */
  readonly directory: string;
  readonly live: Live;
  readonly durability: Durability;
  readonly env: Env;
  /** What files of the brick began as, if it is of a clone of a volume. */
  readonly foreign?: Foreign | undefined;
}

/** See the head of this file. */
export class History {
  readonly readers = new Readers();
  readonly preserve: Preserver;
  readonly clones: Clones;
  /** For another copy of the brick, and from one. */
  readonly copyOut: CopyOut;
  readonly copyIn: CopyIn;
  readonly #store: HistoryStore;
  readonly #segments: Segments;
  readonly #notes: Notes;
  readonly #journal: Journal;
  readonly #kept: KeptFiles;
  readonly #collector: Collector;
  readonly #gate = new Gate();
  /** Of old states. */
  readonly #reads = new Gate();
  readonly #reserve: Reserve;
  readonly #directory: string;
  readonly #live: Live;
  readonly #env: Env;
  #views = new Map<string, View>();
  readonly #room = new Room(() => this.#views.forEach((view) => view.forget()));
  /** Fops that the brick was asked for: while there are new ones collecting leaves them the time. */
  asked = 0;
  /** Resolves when nothing is kept any more for readers that went. */
  #left: Promise<void> = Promise.resolve();
  /** Over when nobody keeps changes waiting any more. */
  #frozen: Promise<void> | undefined;

  private constructor({ directory, live, durability, env, foreign }: HistoryOptions) {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = `${directory}/index.sqlite`;
    refuseUnkept(directory);
    refuseWithoutIndex(directory, path);
    const store = this.#store = HistoryStore.open(path);
    this.#reserve = new Reserve(directory);
    const segments = this.#segments = Segments.open(`${directory}/segments`);
    const notes = this.#notes = Notes.open(`${directory}/notes`);
    const journal = this.#journal = new Journal(
      ...[store, segments, path, durability, env.clock, notes] as const,
    );
    const kept = this.#kept = new KeptFiles(`${directory}/kept`, store, journal, live);
    this.#directory = directory;
    this.#live = live;
    this.#env = env;
    const { readers } = this;
    const clones = this.clones = new Clones({
      ...{ store, journal, segments, kept, readers, live, env, foreign },
      end: (reader) => this.remove(reader),
    });
    this.preserve = new Preserver({
      ...{ store, journal, segments, kept, live, readers, clones },
      moved: (gfid, extent) => {
        clones.moved(gfid, { start: extent.start, end: extent.start + extent.units });
        for (const view of this.#views.values()) view.moved(gfid, extent);
      },
    });
    const view = (id: string) => this.view(id);
    this.copyOut = new CopyOut({ store, segments, readers, view });
    this.copyIn = new CopyIn({
      ...{ store, journal, segments, kept, readers, view },
      clock: env.clock,
      resting: (change) => this.#collector.resting(() => this.#whole(change)),
      still: (change) => this.#still(change),
      forget: (until) => this.preserve.forget(until),
      turned: (until) => this.#turned(until),
      read: () => this.#reads.over(),
    });
    const { clock } = env;
    const asked = () => this.asked;
    this.#collector = new Collector({ store, journal, segments, kept, readers, clock, asked });
  }

  /** Opens the history of a brick, or begins one. Throws HistoryError: it cannot be used. */
  static async open(options: HistoryOptions): Promise<History> {
    const { directory } = options;
    try {
      return await History.#started(options);
    } catch (error) {
      // The disk may be full.
      if (new Reserve(directory).giveUp()) return await History.open(options);
      if (error instanceof HistoryError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new HistoryError(
        `the history "${directory}" cannot be opened (${why}); mend that and start the brick again`,
        { cause: error },
      );
    }
  }

  static async #started(options: HistoryOptions): Promise<History> {
    const history = new History(options);
    try {
      await history.#start();
      return history;
    } catch (error) {
      history.#end();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const parts = { store: this.#store, segments: this.#segments, kept: this.#kept };
    const crashed = this.#store.isOpen;
    if (crashed) await this.#segments.settle(this.#store.synced);
    await putNotes(this.#store, this.#segments, this.#notes);
    if (crashed) await recover(parts);
    this.#store.isOpen = true;
    // Also what the log has in memory only, after a sync that failed.
    if (crashed) await this.#journal.moveAll();
    else await this.#journal.sync();
    await syncDirectory(this.#directory);
    await this.copyIn.finish();
    this.readers.set(this.#store.readers());
    await this.clones.load(crashed);
    for (const epoch of this.#store.removed()) this.#collector.add(epoch);
    this.#collect();
  }

  /** Ends what is under way; changes have ended before. */
  async close(): Promise<void> {
    await this.clones.settled();
    this.copyIn.stop();
    await this.#collector.stop();
    await this.#journal.settled();
    try {
      this.#journal.putNoted();
      // SQLite takes the log away without a sync.
      await this.#journal.moveAll();
      this.#store.isOpen = false;
    } catch (error) {
      // The next start looks through it as after a crash.
      this.#env.log.warn("a history did not end in order", { error: String(error) });
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.#kept.close();
    this.#segments[Symbol.dispose]();
    this.#notes[Symbol.dispose]();
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

  /** Whether a change need not preserve anything, nor wait: then it may begin in this turn, and be `changing`. */
  get isIdle(): boolean {
    return !this.readers.any && !this.#gate.isClosed;
  }

  /** A change began while `isIdle`, and goes on until this settles. */
  changing(change: Promise<unknown>): void {
    this.#gate.enter(change);
  }

  /** The epoch that is going on. */
  get epoch(): number {
    return this.#store.epoch();
  }

  /**
   * From now on, until the signal, changes wait; resolves when none is under way. Throws the signal's
   * reason if that comes before. One after the other.
   */
  async freeze(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const before = this.#frozen;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#frozen = promise;
    await before;
    if (signal.aborted) {
      resolve();
      throw signal.reason;
    }
    signal.addEventListener("abort", () => {
      this.#gate.open();
      resolve();
    }, { once: true });
    if (!await this.#gate.close()) throw signal.reason;
  }

  /**
   * What a reader needs that is to begin is there, and with durability `strict` what was written until
   * now is on the disk: what comes after it began does not wait behind that. ENOSPC.
   */
  async prepare(): Promise<void> {
    await this.#reserve.make();
    // Else the transaction with which it begins would put it there, while changes wait.
    this.#journal.putNoted();
    if (this.durability === "strict") await syncFileSystem(this.#directory);
  }

  /**
   * Begins a reader: it sees all that was changed until now and nothing that comes. On the disk it is
   * when `secure` was called since. EEXIST: there is a reader with its id, or its epoch has ended.
   * `frozen`: the signal of a `freeze` that has resolved; if it came since, its reason is thrown, and
   * nothing has changed.
   */
  async take(reader: Reader, frozen?: AbortSignal): Promise<void> {
    await this.#reserve.make();
    if (frozen) await this.#begin(reader, frozen);
    else await this.#still(() => this.#begin(reader, undefined));
  }

  /** Runs `change` while no change of live files is under way. */
  async #still(change: () => Promise<void>): Promise<void> {
    const over = new AbortController();
    try {
      await this.freeze(over.signal);
      await change();
    } finally {
      over.abort();
    }
  }

  async #begin(reader: Reader, frozen: AbortSignal | undefined): Promise<void> {
    const store = this.#store;
    if (this.readers.get(reader.id) || reader.epoch < store.epoch()) throw EEXIST;
    await this.#journal.put(() => {
      frozen?.throwIfAborted();
      store.putReader(reader);
      store.reachEpoch(reader.epoch + 1);
    });
    this.readers.put(reader);
  }

  /**
   * What readers that began see is on the disk when this resolves, with durability `strict`: also the
   * live files, of which they see all that did not change since, and are on one file system with the
   * index. Throws FopError.
   */
  async secure(): Promise<void> {
    if (this.durability === "strict") await syncFileSystem(this.#directory);
    else await this.#journal.sync();
  }

  /**
   * Begins a reader that sees what another one sees, of that one's file if it sees one only. ENOENT:
   * there is none; EEXIST: there is a reader with the new one's id.
   */
  async join(id: string, reader: Omit<Reader, "epoch">): Promise<void> {
    const of = this.readers.get(id);
    if (!of) throw ENOENT;
    if (this.readers.get(reader.id)) throw EEXIST;
    const file = of.file ?? reader.file;
    const joined = { ...reader, file, epoch: of.epoch };
    await this.#journal.put(() => this.#store.putReader(joined));
    this.readers.put(joined);
    // Who looks at the index from another process does not see what is noted.
    this.#journal.putNoted();
    await this.#journal.syncRows();
  }

  /**
   * Makes a live file a clone of a reader's: it begins as what that one sees of `reader.file`, of
   * which `size` bytes and `blocks`. Its own size has to be set after that, and `clones.sync` makes it
   * last. ENOENT, EEXIST: as `join`.
   */
  async clone(
    gfid: Gfid,
    id: string,
    reader: Omit<Reader, "epoch">,
    { size, blocks }: Pick<Iatt, "size" | "blocks">,
  ): Promise<Clone> {
    const of = this.readers.get(id);
    if (!of) throw ENOENT;
    if (this.readers.get(reader.id)) throw EEXIST;
    const joined = { ...reader, file: of.file ?? reader.file, epoch: of.epoch };
    return await this.clones.make(gfid, joined, Math.floor(size / UNIT), blocks);
  }

  /** Changes the name of a reader, what it is, or whether it may be looked at. ENOENT: there is none. */
  async update(
    id: string,
    change: Partial<Pick<Reader, "name" | "kind" | "active">>,
  ): Promise<void> {
    const reader = this.readers.get(id);
    if (!reader) throw ENOENT;
    const changed = { ...reader, ...change };
    await this.#journal.put(() => this.#store.putReader(changed));
    // Others may have changed it as well.
    this.readers.put({ ...this.readers.get(id) ?? changed, ...change });
    await this.#journal.syncRows();
  }

  /** Ends a reader, on the disk as well; what only it needed goes in the background. ENOENT: there is none; EBUSY: a clone reads by it. */
  async remove(id: string): Promise<void> {
    if (!this.readers.get(id)) throw ENOENT;
    await this.removeAll([id]);
    await this.#journal.syncRows();
  }

  /**
   * Ends several at once, all or none; those that are not there are fine. Nobody sees them any more
   * when this resolves; on the disk that is when it is called again with ids of which there is none.
   * EBUSY: a clone reads by one of them.
   */
  async removeAll(ids: readonly string[]): Promise<void> {
    const readers = ids.flatMap((id) => this.readers.get(id) ?? []);
    if (!readers.length) return await this.#journal.syncRows();
    if (ids.some((id) => this.clones.reads(id))) throw EBUSY;
    await this.#unreserved(() =>
      this.#journal.addLazily(() => {
        for (const reader of readers) this.#store.removeReader(reader);
      }, readers.length)
    );
    this.readers.remove(ids);
    for (const id of ids) this.#views.delete(id);
    this.#kept.close();
    // What is under way may still keep something for them.
    const left = this.#left, over = this.#gate.over();
    this.#left = Promise.all([left, over]).then(() => {
      for (const { epoch } of readers) this.#collector.add(epoch);
    });
    this.#collect();
  }

  // What is older came from another copy.
  #turned(until: number): void {
    this.preserve.forget(until);
    this.readers.set(this.#store.readers());
    this.#views.clear();
    this.clones.lookAgain();
    for (const epoch of this.#store.removed()) this.#collector.add(epoch);
    this.#collect();
  }

  // Rows of readers that are to come are not looked through before these are there.
  async #whole(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } finally {
      if (this.#store.copies.turn.until !== undefined) this.#collector.halt();
    }
  }

  /** What gives room back may use the reserve, if the disk is full. */
  async #unreserved(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } catch (error) {
      const isFull = ENOSPC.matches(error) || EIO.matches(error);
      if (!isFull || !this.#reserve.giveUp()) throw error;
      await change();
    }
  }

  /** What a reader sees; undefined: there is none with this id. */
  view(id: string): View | undefined {
    const reader = this.readers.get(id);
    if (!reader) return undefined;
    let view = this.#views.get(id);
    if (!view) {
      const parts = {
        ...{ store: this.#store, segments: this.#segments },
        ...{ clones: this.clones, live: this.#live, room: this.#room, reads: this.#reads },
      };
      this.#views.set(id, view = new View(parts, reader.epoch));
    }
    return view;
  }

  /** What a reader sees, or the live files; undefined: there is no such reader. */
  side(reader: string | undefined): View | Live | undefined {
    return reader === undefined ? this.#live : this.view(reader);
  }

  /**
   * Two readers beside each other, or one and the live files. ENOENT: there is no such reader; EINVAL:
   * they see different files.
   */
  sides(before: string, after?: string): Sides {
    const old = this.readers.get(before),
      now = after === undefined ? undefined : this.readers.get(after);
    if (!old || (after !== undefined && !now)) throw ENOENT;
    const file = old.file ?? now?.file;
    if (now?.file !== undefined && now.file !== file) throw EINVAL;
    const epochs = [old.epoch, now?.epoch ?? Number.MAX_SAFE_INTEGER];
    return {
      ...{ store: this.#store, before: this.view(before)!, file },
      after: this.side(after)!,
      ...{ from: Math.min(...epochs), until: Math.max(...epochs) },
    };
  }

  /**
   * The path of a file that lost its last name since, as the reader has it, if it can be the live file
   * again as it is: it is kept for the newest reader that sees it, so that what comes is preserved for
   * all of them as of any live file. Undefined: it has to be copied. ENOENT: there is no such reader.
   */
  keptWhole(reader: string, gfid: Gfid): string | undefined {
    const of = this.readers.get(reader), store = this.#store;
    if (!of) throw ENOENT;
    const id = store.findId(gfid), epoch = id && store.kept(id, of.epoch);
    if (!id || !epoch || this.readers.newest(gfid) > epoch) return undefined;
    // Another file had the gfid since, and readers of that are gone but their rows.
    const now = Number.MAX_SAFE_INTEGER;
    if (store.kept(id, epoch + 1) || store.hasExtents(id, now, epoch + 1, now)) return undefined;
    return this.clones.isKept(gfid, epoch) ? undefined : this.#kept.pathOf(gfid, epoch);
  }

  /** A file that was kept is the live one from now on, if that has been given its names. */
  async returned(reader: string, gfid: Gfid): Promise<void> {
    const id = this.#store.findId(gfid), of = this.readers.get(reader);
    const epoch = id && of && this.#store.kept(id, of.epoch);
    if (!epoch || !this.#live.hasName(gfid, this.#kept.pathOf(gfid, epoch))) return;
    await this.#kept.remove(gfid, epoch);
  }

  /** Resolves when nothing is left of readers that went. */
  async collected(): Promise<void> {
    do {
      await this.clones.settled();
      await this.#left;
      await this.#unreserved(() => this.#collector.run());
    } while (this.clones.sweep());
    // Should there be no room yet, the next snapshot is refused.
    if (this.readers.any) await this.#reserve.make().catch(() => {});
  }

  /** Bytes of old data that each reader needs, in the order of `readers.list`. */
  usageByReader(): Promise<ReaderUsage[]> {
    const { readers } = this, { clock } = this.#env;
    return usageByReader({ store: this.#store, kept: this.#kept, readers, clock });
  }

  /** Rows of the index, readers aside, and bytes of old data that rows name. */
  usage(): { rows: number; bytes: number } {
    const bytes = [...this.#store.segments().values()].reduce((sum, live) => sum + live, 0);
    return { rows: this.#store.rows(), bytes };
  }

  #collect(): void {
    this.collected().catch((error) => {
      this.#env.log.warn("old data of removed snapshots stays for now", { error: String(error) });
    });
  }
}

// A new index beside old data would pass for a brick that never had a snapshot.
function refuseWithoutIndex(directory: string, path: string): void {
  const has = (name: string) => {
    try {
      return !Deno.readDirSync(`${directory}/${name}`)[Symbol.iterator]().next().done;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  };
  if (!exists(path) && (has("segments") || has("kept"))) {
    throw new HistoryError(
      `the history "${directory}" has old data but no index.sqlite; put the index back, or remove ` +
        "the directory: the brick's snapshots are lost then",
    );
  }
}
