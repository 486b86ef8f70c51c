/** For tests: a brick in a temporary directory, and short words for its fops. */

import { type Call, ROOT } from "core/call.ts";
import { type Env, realRandom } from "core/env.ts";
import { O_RDWR } from "core/fops.ts";
import { type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import type { OpenFile } from "xlators/storage/posix/open_files.ts";
import { options } from "xlators/storage/posix/options.ts";
import { Posix } from "xlators/storage/posix/posix.ts";

/** True if this process may keep `trusted.*`: the tests need it, unless they say otherwise. */
export const IS_ROOT = Deno.uid() === 0;

/** A started brick. */
export class TestBrick {
  readonly log = new LinesLog();
  readonly inodes = new InodeTable();
  top!: Posix;

  private constructor(
    readonly path: string,
    private values: Readonly<Record<string, string>>,
    private world: Partial<Env>,
  ) {}

  /** A brick in a new directory, or in `path`; `world` stands in for parts of the real one. */
  static async start(
    values: Record<string, string> = {},
    path?: string,
    world: Partial<Env> = {},
  ): Promise<TestBrick> {
    const at = path ?? await Deno.makeTempDir({ prefix: "posix-" });
    const brick = new TestBrick(at, values, world);
    await brick.open();
    return brick;
  }

  async open(): Promise<void> {
    const given = new Map(Object.entries({ directory: this.path, ...this.values }));
    const env = testEnv({ log: this.log, ...this.world });
    const place = node("posix", [], { env, inodes: this.inodes });
    this.top = new Posix(place, readOptions(options, given));
    await this.top.start();
  }

  /** As after a restart of the process: a new layer with nothing in memory. */
  async restart(): Promise<void> {
    await this.top.stop();
    await this.open();
  }

  get root(): Inode {
    return this.inodes.root;
  }

  async create(
    name: string,
    { parent = this.root, flags = O_RDWR, mode = 0o644, xdata = gfidReq(), call = ROOT } = {},
  ): Promise<{ inode: Inode; fd: OpenFile; gfid: Gfid }> {
    const args = { parent, name, flags, mode, umask: 0, xdata };
    const { fd, stat } = await this.top.create(call, args);
    return { inode: fd.inode, fd: fd as OpenFile, gfid: stat.gfid };
  }

  /** A closed file with `content`. */
  async file(name: string, content = "", parent = this.root): Promise<Inode> {
    const { fd, inode } = await this.create(name, { parent });
    if (content) await this.write(fd, content);
    await this.top.release(ROOT, { fd });
    return inode;
  }

  async write(fd: OpenFile, content: string | Uint8Array, offset = 0): Promise<void> {
    const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await this.top.writev(ROOT, { fd, data, offset, flags: 0 });
  }

  async read(fd: OpenFile, offset = 0, size = 65536): Promise<string> {
    const { data } = await this.top.readv(ROOT, { fd, offset, size, flags: 0 });
    return new TextDecoder().decode(data);
  }

  async reopen(inode: Inode, flags = O_RDWR): Promise<OpenFile> {
    return (await this.top.open(ROOT, { inode, flags })).fd as OpenFile;
  }

  async mkdir(name: string, parent = this.root, mode = 0o755): Promise<Inode> {
    const args = { parent, name, mode, umask: 0, xdata: gfidReq() };
    return this.inodes.of((await this.top.mkdir(ROOT, args)).stat.gfid);
  }

  async lookup(name: string, parent = this.root, xdata?: Xdata): Promise<Inode> {
    return this.inodes.of((await this.top.lookup(ROOT, { parent, name, xdata })).stat.gfid);
  }

  /** Where a file's handle is. */
  handle(gfid: Gfid): string {
    return `${this.path}/.glusterfs/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`;
  }

  /** Stops and removes everything. */
  async remove(): Promise<void> {
    await this.top.stop();
    await Deno.remove(this.path, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

/** Extra data that asks for a gfid, a new one unless given. */
export function gfidReq(gfid: Gfid = realRandom.uuid() as Gfid): Xdata {
  return withKey(undefined, GFID_REQ, gfid);
}

/** A daemon's call. */
export function internal(pid: number): Call {
  return { ...ROOT, pid };
}

/** What a command prints; throws if it fails. */
export async function run(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
