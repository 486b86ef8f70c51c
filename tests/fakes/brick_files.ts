/** Short words for what tests do to the files of a brick, through its top. */

import { ROOT } from "core/call.ts";
import { O_RDWR } from "core/fops.ts";
import { isDirectory, S_IFMT, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, type Inode } from "core/inode.ts";
import type { Xlator } from "core/xlator.ts";
import { gfidReq } from "tests/fakes/posix_brick.ts";

/** See the head of this file. Methods throw FopError. */
export class Files {
  constructor(
    readonly top: Xlator,
    readonly inodeOf: (gfid: Gfid) => Inode,
    readonly root: Inode,
  ) {}

  async make(name: string, content = new Uint8Array(), parent = this.root): Promise<Gfid> {
    const args = { parent, name, flags: O_RDWR, mode: 0o640, umask: 0, xdata: gfidReq() };
    const { fd, stat } = await this.top.create(ROOT, args);
    if (content.length) await this.write(stat.gfid, 0, content);
    await this.top.release(ROOT, { fd });
    return stat.gfid;
  }

  async mkdir(name: string, parent = this.root): Promise<Inode> {
    const args = { parent, name, mode: 0o750, umask: 0, xdata: gfidReq() };
    return this.inodeOf((await this.top.mkdir(ROOT, args)).stat.gfid);
  }

  async write(gfid: Gfid, offset: number, data: Uint8Array): Promise<void> {
    await this.top.writev(ROOT, { fd: this.fd(gfid), offset, data, flags: 0 });
  }

  async read(gfid: Gfid, offset = 0, size = 1 << 20): Promise<Uint8Array> {
    const args = { fd: this.fd(gfid), offset, size, flags: 0 };
    return new Uint8Array((await this.top.readv(ROOT, args)).data);
  }

  fd(gfid: Gfid): Fd {
    return new Fd(this.inodeOf(gfid), O_RDWR, true);
  }

  async lookup(name: string, parent = this.root): Promise<Inode> {
    return this.inodeOf((await this.top.lookup(ROOT, { parent, name })).stat.gfid);
  }

  async names(inode = this.root): Promise<string[]> {
    const { fd } = await this.top.opendir(ROOT, { inode });
    const names: string[] = [];
    for (let offset = 0n;;) {
      const { entries, eof } = await this.top.readdirp(ROOT, { fd, offset, size: 4096 });
      names.push(...entries.map(({ name }) => name));
      if (eof) break;
      offset = entries.at(-1)!.offset;
    }
    await this.top.releasedir(ROOT, { fd });
    return names.filter((name) => name !== "." && name !== "..").sort();
  }

  async unlink(name: string, parent = this.root): Promise<void> {
    await this.top.unlink(ROOT, { parent, name, flags: 0 });
  }

  async rename(oldName: string, newName: string, oldParent = this.root, newParent = oldParent) {
    await this.top.rename(ROOT, { oldParent, oldName, newParent, newName });
  }

  /** A tree as text: names, modes, and contents. */
  async tree(inode = this.root, path = ""): Promise<string[]> {
    const lines: string[] = [];
    for (const name of await this.names(inode)) {
      const { stat } = await this.top.lookup(ROOT, { parent: inode, name });
      const at = `${path}/${name}`;
      if ((stat.mode & S_IFMT) === S_IFREG) {
        const sum = (await this.read(stat.gfid)).reduce((a, b) => (a * 31 + b) >>> 0, 7);
        lines.push(
          `${at} ${stat.gfid} ${stat.mode} ${stat.nlink} ${stat.size} ${stat.mtime} ${sum}`,
        );
      } else {
        lines.push(`${at} ${stat.gfid} ${stat.mode} ${stat.mtime}`);
        if (isDirectory(stat)) lines.push(...await this.tree(this.inodeOf(stat.gfid), at));
      }
    }
    return lines;
  }
}
