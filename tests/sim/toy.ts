/**
 * A replication so simple that it is plainly right, to try the simulator on: a change locks the file
 * on all copies, is made on all copies, and fails if one cannot make it; a read locks, asks all
 * copies and fails with EIO unless they agree. It is of no use with a copy missing, but what it
 * acknowledges is true. `mutants.ts` breaks it in ways that the models must notice.
 */

import type { Call, LkOwner } from "core/call.ts";
import { EIO, FopError } from "core/errno.ts";
import { type Args, DONE, type Flock, type FopName, FOPS, type Reply } from "core/fops.ts";
import { Fd, Inode, PerFd } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import { Funnel, settle, type Settled, windTo, type Xlator } from "core/xlator.ts";

const DOMAIN = "toy";

/** See the head of this file. */
class ToyReplicate extends Funnel {
  readonly #fds = new PerFd<readonly (Fd | undefined)[]>();

  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "release" || fop === "releasedir") return await this.#close(fop, call, args);
    const reads = FOPS[fop].kind === "inspect" || fop === "opendir";
    const locked = this.#targets(args);
    const owner = this.env.random.uuid().replaceAll("-", "") as LkOwner;
    const held: (() => Promise<unknown>)[] = [];
    try {
      for (const inode of locked) {
        for (const child of this.children) {
          held.push(await this.#lock(child, { ...call, lkOwner: owner }, inode, reads));
        }
      }
      const answers = await settle(
        this.children.map((child, index) => windTo(child, fop, call, this.#argsFor(args, index))),
      );
      return this.#agreed(fop, args, answers, reads);
    } finally {
      for (const unlock of held.reverse()) await unlock();
    }
  }

  // In order of gfid, so that two renames do not wait for each other.
  #targets(args: object): Inode[] {
    const { fd, inode, parent, oldParent, newParent } = args as Record<string, unknown>;
    const all = [fd instanceof Fd ? fd.inode : undefined, parent, oldParent, newParent];
    const found = all.filter((each) => each instanceof Inode);
    if (!found.length && inode instanceof Inode) found.push(inode);
    return [...new Set(found)].sort((a, b) => a.gfid < b.gfid ? -1 : 1);
  }

  async #lock(child: Xlator, call: Call, inode: Inode, reads: boolean) {
    const lock: Flock = {
      type: reads ? "read" : "write",
      whence: 0,
      start: 0n,
      size: 0n,
      pid: 1,
      owner: call.lkOwner,
    };
    await child.inodelk(call, { inode, domain: DOMAIN, cmd: "set-wait", lock });
    const free: Flock = { ...lock, type: "unlock" };
    return () =>
      child.inodelk(call, { inode, domain: DOMAIN, cmd: "set", lock: free }).catch(onlyFops);
  }

  #argsFor<K extends FopName>(args: Args<K>, index: number): Args<K> {
    const { fd } = args as { fd?: Fd };
    if (!fd || fd.anonymous) return args;
    const own = this.#fds.get(fd)?.[index];
    if (!own) throw EIO;
    return { ...args, fd: own };
  }

  #agreed<K extends FopName>(
    fop: K,
    args: Args<K>,
    answers: readonly Settled<Reply<K>>[],
    reads: boolean,
  ): Reply<K> {
    const failed = answers.find((answer) => !answer.ok);
    if (failed && !failed.ok) {
      const { error } = failed;
      const same = answers.every((answer) => !answer.ok && error.matches(answer.error));
      throw same ? error : EIO;
    }
    const replies = answers.map((answer) => (answer as { value: Reply<K> }).value);
    const [first] = replies;
    if (reads && new Set(replies.map((reply) => essence(fop, reply))).size > 1) throw EIO;
    return "fd" in first! ? { ...first, fd: this.#open(args, replies) } : first!;
  }

  #open<K extends FopName>(args: Args<K>, replies: readonly Reply<K>[]): Fd {
    const fds = replies.map((reply) => (reply as Reply<"open">).fd);
    const fd = new Fd(fds[0]!.inode, (args as { flags?: number }).flags ?? 0);
    this.#fds.set(fd, fds);
    return fd;
  }

  async #close<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd } = args as Args<"release">;
    const fds = this.#fds.get(fd) ?? [];
    await settle(
      this.children.map((child, index) =>
        fds[index]
          ? windTo(child, fop, call, { fd: fds[index]! } as Args<K>)
          : Promise.resolve(DONE)
      ),
    );
    return DONE as Reply<K>;
  }
}

// What two copies must answer alike; times and listings' cookies are each brick's own.
function essence(fop: FopName, reply: object): string {
  if (fop === "readv") return `${(reply as Reply<"readv">).data}`;
  if (fop === "getxattr") {
    const { xattrs } = reply as Reply<"getxattr">;
    return JSON.stringify(
      [...xattrs ?? []].map(([name, value]) => [name, `${value.value}`]).sort(),
    );
  }
  if (fop === "readdirp") {
    return (reply as Reply<"readdirp">).entries.map(({ name }) => name).sort().join("/");
  }
  const { stat } = reply as { stat?: Reply<"stat">["stat"] };
  if (!stat) return "";
  // A lookup locks the directory: the file itself may be written meanwhile.
  return fop === "lookup" ? `${stat.gfid} ${stat.mode}` : `${stat.gfid} ${stat.mode} ${stat.size}`;
}

function onlyFops(error: unknown): void {
  if (!(error instanceof FopError)) throw error;
}

/** The layer, under a name that no volfile has. */
export const toyReplicate = defineXlator({
  type: "cluster/toy",
  summary: "All copies or nothing",
  options: {},
  subvolumes: "many",
  create: (node) => new ToyReplicate(node),
});
