/** Making, moving and removing names: each under the locks of the names it changes, on all copies. */

import type { Call } from "core/call.ts";
import { LOCK_ALONG } from "core/carried_locks.ts";
import { ENOTEMPTY, FopError } from "core/errno.ts";
import type { Args, CreateReply, LookupReply, ParentReply, Reply } from "core/fops.ts";
import { type Iatt, isDirectory, S_IFIFO, S_IFMT, S_IFREG } from "core/iatt.ts";
import type { Fd, Inode } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { settle } from "core/xlator.ts";
import { type Counts, countsBytes } from "xlators/cluster/replicate/blame.ts";
import { type Change, makeChange } from "xlators/cluster/replicate/change.ts";
import { lockingNew, type NewFile, unlockNew } from "xlators/cluster/replicate/carried.ts";
import { type Copies, pick } from "xlators/cluster/replicate/copies.ts";
import { EntryLocks, type Name } from "xlators/cluster/replicate/entry_locks.ts";
import type { Finder } from "xlators/cluster/replicate/lookup.ts";
import { sendMarks } from "xlators/cluster/replicate/send_marks.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";
import type { Answers } from "xlators/cluster/replicate/write.ts";

/** See the head of this file. */
export class Names {
  readonly locks: EntryLocks;

  constructor(
    readonly copies: Copies,
    readonly finder: Finder,
    readonly reader: Reader,
    readonly opened: OpenCopies,
  ) {
    this.locks = new EntryLocks(copies);
  }

  /** Makes something under a name. */
  async make<R extends ParentReply & { readonly stat: Iatt }>(
    call: Call,
    { parent, name, xdata }: {
      readonly parent: Inode;
      readonly name: string;
      readonly xdata?: Xdata | undefined;
    },
    wind: (index: number) => Promise<R>,
  ): Promise<R> {
    const gfid = xdata?.get(GFID_REQ);
    const undo = (index: number, { stat }: R): Promise<unknown> => {
      // A create may have opened what was there.
      if (stat.gfid !== gfid) return Promise.resolve();
      const to = this.copies.all[index]!, args = { parent, name, flags: 0 };
      return isDirectory(stat) ? to.rmdir(call, args) : to.unlink(call, args);
    };
    const { generation, doubts } = this.copies;
    const reply = await this.#change(call, [{ inode: parent, name }], wind, {
      undo,
      marksNew: (locker, { stat }, done) => this.#markNew(locker, stat, done),
    });
    // Every copy has it: nobody needs to be asked who may be read.
    const sound = generation === this.copies.generation && doubts === this.copies.doubts;
    if (sound && !this.copies.up.includes(false) && reply.stat.gfid === gfid) {
      this.#learnNew(this.copies.inodes.of(gfid));
    }
    return reply;
  }

  #learnNew(inode: Inode): void {
    const { generation, arbiter, all } = this.copies, state = this.copies.stateOf(inode);
    const mayRead = all.map((_, index) => index !== arbiter);
    const sound = all.map(() => true);
    const judgement = { content: mayRead, sound, metadata: mayRead, needsHeal: false };
    if (!state.lock) state.learn(this.copies.shared(judgement), generation, state.epoch);
  }

  /** Makes and opens a file. What comes with its lock and marks, `adopt` keeps if it can. */
  async create(
    call: Call,
    args: Args<"create">,
    adopt: (file: NewFile) => boolean,
  ): Promise<CreateReply> {
    const { copies } = this, { generation } = copies;
    const fds: (Fd | undefined)[] = copies.all.map(() => undefined);
    const locked = copies.all.map(() => false);
    const along = lockingNew(copies, args), locker = along ? copies.asLocker(call) : call;
    const wind = async (index: number) => {
      const asked = along ? { ...args, xdata: along } : args;
      const { fd, xdata, ...reply } = await copies.all[index]!.create(locker, asked);
      fds[index] = fd;
      locked[index] = xdata?.has(LOCK_ALONG) ?? false;
      return { ...reply, fd, xdata: xdata?.without(LOCK_ALONG) };
    };
    const file = (inode: Inode) => ({ locker, target: { inode, fds } });
    try {
      const reply = await this.make(call, args, wind);
      const inode = copies.inodes.of(reply.stat.gfid);
      const fd = this.opened.hand(inode, args.flags, fds);
      const whole = !locked.includes(false) && generation === copies.generation;
      const kept = whole && adopt({ ...file(inode), fd });
      copies.stateOf(inode).isNew = !kept;
      if (!kept && locked.includes(true)) await unlockNew(copies, file(inode), locked);
      return { ...reply, fd };
    } catch (error) {
      const made = fds.find((fd) => fd !== undefined);
      if (made) await unlockNew(copies, file(made.inode), locked);
      await this.opened.releaseAll(call, fds);
      throw error;
    }
  }

  /** A further name, or one taken away. */
  async entry<R extends ParentReply>(
    call: Call,
    { parent, name }: { readonly parent: Inode; readonly name: string },
    wind: (index: number) => Promise<R>,
  ): Promise<R> {
    return await this.#change(call, [{ inode: parent, name }], wind);
  }

  async rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    const { parent, name } = args;
    const names: Name[] = [{ inode: parent, name }];
    // Nobody may make something in it meanwhile.
    const directory = await this.#directoryAt(call, parent, name);
    const wind = (index: number) => this.copies.all[index]!.rmdir(call, args);
    return await this.#change<Reply<"rmdir">>(call, names, wind, {
      ...directory && { wholly: [directory], dispute: this.#isMissed(call, directory) },
    });
  }

  async rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    const names: Name[] = [
      { inode: args.oldParent, name: args.oldName },
      { inode: args.newParent, name: args.newName },
    ];
    const replaced = await this.#directoryAt(call, args.newParent, args.newName);
    const wind = (index: number) => this.copies.all[index]!.rename(call, args);
    return await this.#change<Reply<"rename">>(call, names, wind, {
      ...replaced && { wholly: [replaced], dispute: this.#isMissed(call, replaced) },
    });
  }

  // A copy that removed a directory, since it missed what is in it, had no right to: one where it is not
  // empty says so of it.
  #isMissed(call: Call, directory: Inode) {
    return async (answers: Answers<unknown>): Promise<FopError | undefined> => {
      const full = answers.flatMap((answer, index) =>
        answer?.ok === false && ENOTEMPTY.matches(answer.error) ? [index] : []
      );
      const args = { inode: directory, name: "", xdata: this.reader.asking() };
      const told = await settle(full.map((index) => this.copies.all[index]!.lookup(call, args)));
      const missed = told.some((each) =>
        this.reader.witness(each)?.marks.blames.some(({ entry }, index) =>
          entry !== 0 && answers[index]?.ok
        )
      );
      return missed ? ENOTEMPTY : undefined;
    };
  }

  async #directoryAt(call: Call, parent: Inode, name: string): Promise<Inode | undefined> {
    let reply: LookupReply;
    try {
      reply = await this.finder.lookup(call, { parent, name });
    } catch (error) {
      // The fop itself tells what is wrong with the name.
      if (error instanceof FopError) return undefined;
      throw error;
    }
    return isDirectory(reply.stat) ? this.copies.inodes.of(reply.stat.gfid) : undefined;
  }

  async #change<R>(
    call: Call,
    names: readonly Name[],
    wind: (index: number) => Promise<R>,
    more: Pick<Change<R>, "marksNew" | "dispute" | "undo"> & {
      readonly wholly?: readonly Inode[];
    } = {},
  ): Promise<R> {
    const { copies } = this;
    const { wholly = [], ...rest } = more;
    const [{ inode }] = names as [Name];
    const without = copies.all.map(() => false);
    for (const name of names) {
      const astray = await this.#astray(call, name);
      astray?.forEach((has, index) => has && (without[index] = true));
    }
    const known = copies.stateOf(inode).known(copies.generation);
    // An arbiter's names are as good as any, but it is no copy to read.
    const good = known && this.reader.sure(inode, known.sound);
    const answers = await makeChange(copies, {
      ...rest,
      part: "entry",
      call,
      lock: (locker) => this.locks.lock(locker, names, wholly),
      targets: names,
      wind,
      ...without.includes(true) ? { without } : {},
      ...good?.some((has, index) => has && index !== copies.arbiter) ? { good } : {},
    });
    const prefer = known && this.reader.choice.of(inode, this.reader.sure(inode, known.content));
    return pick(answers, prefer, copies.arbiter)!;
  }

  // Where a copy in reach missed something, too few may have what the name stands for: then a change
  // would be made on some and fail on others, and three copies be left of which no two agree. A copy
  // that has another file there must not change that one in its place: it may live on elsewhere, and
  // what becomes of the name there nobody would know.
  async #astray(
    call: Call,
    { inode: parent, name }: Name,
  ): Promise<readonly boolean[] | undefined> {
    const { copies } = this, { up } = copies;
    const sound = await this.#soundOf(call, parent);
    if (!sound || !up.some((has, index) => has && !sound[index])) return undefined;
    try {
      return await this.finder.astray(call, { parent, name });
    } catch (error) {
      if (copies.quorumOn || !(error instanceof FopError)) throw error;
      return undefined;
    }
  }

  // Who missed nothing in a directory; undefined if nothing waits for heal, or nobody can tell.
  async #soundOf(call: Call, parent: Inode): Promise<readonly boolean[] | undefined> {
    const { copies } = this;
    let known = copies.stateOf(parent).known(copies.generation);
    try {
      if (!known && copies.needsHeal) known = await this.reader.look(call, parent);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
    return known && this.reader.sure(parent, known.sound);
  }

  // A copy that is missing on some brick is all behind there: healers find it by its marks.
  async #markNew(locker: Call, stat: Iatt, done: readonly boolean[]): Promise<void> {
    const { copies } = this;
    const type = stat.mode & S_IFMT;
    if (type !== S_IFREG && !isDirectory(stat) && !isSpecial(type)) return;
    const counts: Partial<Counts> = isDirectory(stat)
      ? {
        metadata: 1,
        entry: 1,
        ...copies.values["granular-entry-heal"] ? { data: 1 } : {},
      }
      : type === S_IFREG
      ? { metadata: 1, data: 1 }
      : { metadata: 1 };
    const marks = Xdata.of(
      copies.keys.pending.map((key, index) =>
        [key, ptr(countsBytes(done[index] ? {} : counts))] as const
      ),
    );
    const inode = copies.inodes.of(stat.gfid);
    const asked = done.flatMap((has, index) => has ? [index] : []);
    await settle(asked.map((index) => sendMarks(copies, locker, { inode }, index, marks)));
    copies.stateOf(inode).doubt();
  }
}

// What mknod makes beside files: fifos, devices, sockets.
function isSpecial(type: number): boolean {
  return type === S_IFIFO || type === 0o020000 || type === 0o060000 || type === 0o140000;
}
