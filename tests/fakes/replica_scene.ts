/** A replica in memory whose clock stands still, and short words for what a test does to it. */

import { type Call, ROOT } from "core/call.ts";
import { O_RDWR } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import { bytes, gfidReq, newGfid, text } from "tests/conformance/place.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type FakeLink, type Replica, replica, type ReplicaOptions } from "tests/fakes/replica.ts";
import { type Counts, countsBytes, parseCounts } from "xlators/cluster/replicate/blame.ts";
import type { Replicate } from "xlators/cluster/replicate/replicate.ts";

/** See the head of this file. */
export class Scene {
  readonly top: Replicate;
  readonly links: readonly FakeLink[];

  private constructor(readonly on: Replica, readonly clock: FakeClock) {
    this.top = on.top;
    this.links = on.links;
  }

  static async of(options: ReplicaOptions = {}): Promise<Scene> {
    const clock = new FakeClock();
    return new Scene(await replica({ ...options, env: testEnv({ clock }) }), clock);
  }

  get root(): Inode {
    return this.on.inodes.root;
  }

  async create(
    name: string,
    parent = this.root,
    call: Call = ROOT,
  ): Promise<{ fd: Fd; inode: Inode }> {
    const args = { parent, name, flags: O_RDWR, mode: 0o644, umask: 0, xdata: gfidReq() };
    const { fd, stat } = await this.top.create(call, args);
    return { fd, inode: this.on.inodes.of(stat.gfid) };
  }

  write(fd: Fd, content: string, offset = 0, top = this.top) {
    return top.writev(ROOT, { fd, offset, data: bytes(content), flags: 0 });
  }

  async read(fd: Fd, top = this.top): Promise<string> {
    return text((await top.readv(ROOT, { fd, offset: 0, size: 1024, flags: 0 })).data);
  }

  /** What a brick has, whoever may read it. */
  async content(index: number, inode: Inode): Promise<string> {
    const brick = this.on.bricks[index]!;
    const { fd } = await brick.open(ROOT, { inode, flags: 0 });
    const { data } = await brick.readv(ROOT, { fd, offset: 0, size: 1024, flags: 0 });
    await brick.release(ROOT, { fd });
    return text(data);
  }

  /** A brick's marks that are not zero: "dirty:1/0/0 1:0/1/0". */
  async marks(index: number, inode: Inode): Promise<string> {
    const { xattrs } = await this.on.bricks[index]!.getxattr(ROOT, { inode, name: "" });
    const shown: string[] = [];
    for (const [name, value] of xattrs ?? []) {
      if (!name.startsWith("trusted.afr.")) continue;
      const { data, metadata, entry } = parseCounts(valueBytes(value));
      const short = name.replace(/^trusted\.afr\.(v-client-)?/, "");
      if (data || metadata || entry) shown.push(`${short}:${data}/${metadata}/${entry}`);
    }
    return shown.sort().join(" ");
  }

  /** The marks of all bricks. */
  allMarks(inode: Inode): Promise<string[]> {
    return Promise.all(this.links.map((_, index) => this.marks(index, inode)));
  }

  /** Waits until nothing is left to do behind answers. */
  async calm(): Promise<void> {
    await this.top.stop();
  }

  /** Has copy `by` blame copy `whom`. */
  async blame(inode: Inode, by: number, whom: number, counts: Partial<Counts>): Promise<void> {
    const xattrs = Xdata.of([[`trusted.afr.v-client-${whom}`, ptr(countsBytes(counts))]]);
    await this.on.bricks[by]!.xattrop(ROOT, { inode, op: "add32", xattrs });
  }

  /** Copies of one file, each with its own content, that blame each other for it. */
  async split(name: string, contents: readonly string[]): Promise<{ fd: Fd; inode: Inode }> {
    const file = await this.create(name);
    await this.calm();
    for (const [index, content] of contents.entries()) {
      await this.rewrite(index, file.inode, content);
      const others = contents.flatMap((_, other) => other === index ? [] : [other]);
      for (const other of others) await this.blame(file.inode, index, other, { data: 1 });
    }
    for (const link of this.links) {
      link.turn(false);
      link.turn(true);
    }
    return file;
  }

  /** Puts content on one copy, past everything else. */
  async rewrite(index: number, inode: Inode, content: string): Promise<void> {
    const brick = this.on.bricks[index]!;
    await brick.truncate(ROOT, { inode, offset: 0 });
    const { fd } = await brick.open(ROOT, { inode, flags: O_RDWR });
    await brick.writev(ROOT, { fd, offset: 0, data: bytes(content), flags: 0 });
    await brick.release(ROOT, { fd });
  }

  /** A file of its own, under the same name, on each copy; the directories blame each other. */
  async splitName(name: string, contents: readonly string[]): Promise<void> {
    for (const [index, content] of contents.entries()) {
      const args = { parent: this.root, name, flags: O_RDWR, mode: 0o644, umask: 0 };
      const brick = this.on.bricks[index]!;
      const made = await brick.create(ROOT, { ...args, xdata: gfidReq(newGfid()) });
      await brick.release(ROOT, { fd: made.fd });
      await this.rewrite(index, this.on.inodes.of(made.stat.gfid), content);
      const others = contents.flatMap((_, other) => other === index ? [] : [other]);
      for (const other of others) await this.blame(this.root, index, other, { entry: 1 });
    }
    for (const link of this.links) {
      link.turn(false);
      link.turn(true);
    }
  }
}
