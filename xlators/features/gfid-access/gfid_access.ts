/**
 * Files by who they are instead of where they are: `.gfid/GFID` at the root of a volume, as mounts
 * with `aux-gfid-mount` have it.
 *
 * `.gfid` is found by its name, never listed, and nothing can be made or removed in it. A file found
 * there is the file. A directory cannot be: a kernel takes a directory for being in one place. It gets
 * a gfid of its own, kept as long as somebody knows it, and what is asked of that is asked of the
 * directory; only listing it is refused.
 */

import type { Call } from "core/call.ts";
import { ENOENT, EOPNOTSUPP, EPERM, ESTALE } from "core/errno.ts";
import { type Args, DONE, type FopName, type Reply } from "core/fops.ts";
import { type Iatt, isDirectory, S_IFDIR, S_IFLNK, S_IFMT } from "core/iatt.ts";
import { type Gfid, type Inode, parseGfid, PerInode } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import { type DictValue, valueBytes, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { Uniform } from "core/xlator.ts";
import {
  HEAL,
  NEW_FILE,
  readNamedGfid,
  readNewEntry,
} from "xlators/features/gfid-access/new_entry.ts";

const NAME = ".gfid";
/** Of `.gfid`, in every volume. */
const AUX_GFID = "00000000-0000-0000-0000-00000000000d" as Gfid;

/** Where fops say what they are about. */
interface Places {
  readonly inode?: Inode | undefined;
  readonly parent?: Inode | undefined;
  readonly name?: string;
  readonly oldParent?: Inode;
  readonly oldName?: string;
  readonly newParent?: Inode;
  readonly newName?: string;
}

/** See the head of this file. */
class GfidAccess extends Uniform {
  readonly #aux = this.inodes.of(AUX_GFID);
  /** The directory that another stands for, and that other. */
  readonly #real = new PerInode<Inode>();
  readonly #standIns = new PerInode<Inode>();

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    try {
      return this.#answer(fop, call, args as Args<K> & Places);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #answer<K extends FopName>(fop: K, call: Call, args: Args<K> & Places): Promise<Reply<K>> {
    const { inode, parent, name } = args;
    if (fop === "lookup") {
      if (this.#isAux(parent, name) || inode === this.#aux) {
        return this.#auxStat(call) as Promise<Reply<K>>;
      }
      if (parent === this.#aux) return this.#byGfid(call, name!) as Promise<Reply<K>>;
    } else {
      this.#checkName(parent, name);
      this.#checkName(args.oldParent, args.oldName);
      this.#checkName(args.newParent, args.newName);
      if (inode === this.#aux) return this.#onAux(fop, call) as Promise<Reply<K>>;
      if (fop === "setxattr") {
        const made = this.#newEntry(call, args as Args<"setxattr">);
        if (made) return made as Promise<Reply<K>>;
      }
    }
    const standIn = inode && this.#real.get(inode) && inode;
    if (standIn && fop === "opendir") throw EOPNOTSUPP;
    const reply = this.wind(fop, call, this.#really(args));
    return standIn ? reply.then((each) => disguised(each, standIn.gfid)) : reply;
  }

  #isAux(parent: Inode | undefined, name: string | undefined): boolean {
    return name === NAME && parent === this.inodes.root;
  }

  #checkName(parent: Inode | undefined, name: string | undefined): void {
    if (this.#isAux(parent, name)) throw EOPNOTSUPP;
    if (parent === this.#aux) throw EPERM;
  }

  #onAux(fop: FopName, call: Call): Promise<unknown> {
    if (fop === "stat") return this.#auxStat(call);
    if (fop === "statfs") return this.child.statfs(call, { inode: this.inodes.root });
    if (fop === "access") return Promise.resolve(DONE);
    throw EOPNOTSUPP;
  }

  async #auxStat(call: Call): Promise<Reply<"lookup">> {
    const { stat } = await this.child.stat(call, { inode: this.inodes.root });
    return { stat: { ...stat, gfid: AUX_GFID }, postParent: stat };
  }

  async #byGfid(call: Call, name: string): Promise<Reply<"lookup">> {
    const gfid = parseGfid(name);
    if (!gfid) throw ENOENT;
    const inode = this.inodes.of(gfid);
    const { stat, postParent } = await this.child.lookup(call, { inode, name: "" }).catch(
      (error) => {
        throw ESTALE.matches(error) ? ENOENT : error;
      },
    );
    if (!isDirectory(stat)) return { stat, postParent };
    return { stat: { ...stat, gfid: this.#standIn(inode).gfid }, postParent };
  }

  #standIn(inode: Inode): Inode {
    const known = this.#standIns.get(inode);
    if (known) return known;
    const made = this.inodes.of(this.env.random.uuid() as Gfid);
    this.#standIns.set(inode, made);
    this.#real.set(made, inode);
    return made;
  }

  // The same with directories in the place of what stands for them.
  #really<K extends FopName>(args: Args<K> & Places): Args<K> {
    let found: Args<K> = args;
    for (const key of ["inode", "parent", "oldParent", "newParent"] as const) {
      const given = args[key], real = given && this.#real.get(given);
      if (real) found = { ...found, [key]: real };
    }
    return found;
  }

  #newEntry(call: Call, { inode, xattrs }: Args<"setxattr">): Promise<unknown> | undefined {
    const parent = this.#real.get(inode) ?? inode;
    const made = bytesOf(xattrs?.raw(NEW_FILE)), healed = bytesOf(xattrs?.raw(HEAL));
    if (!made && !healed) return undefined;
    // Who makes a file chooses its owner, too: anybody could make a program of root's.
    if (call.uid !== 0) throw EPERM;
    if (made) return this.#make(call, parent, made);
    const { gfid, name } = readNamedGfid(healed!);
    const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(gfid)]]);
    return this.child.lookup(call, { parent, name, xdata }).then(() => DONE);
  }

  async #make(by: Call, parent: Inode, value: Uint8Array): Promise<unknown> {
    const { uid, gid, gfid, name, mode, umask, rdev, target } = readNewEntry(value);
    const call = { ...by, uid, gid, groups: [] };
    const args = {
      parent,
      name,
      mode: mode & ~S_IFMT,
      umask,
      xdata: Xdata.of([[GFID_REQ.name, GFID_REQ.write(gfid)]]),
    };
    const type = mode & S_IFMT;
    if (type === S_IFDIR) await this.child.mkdir(call, args);
    else if (type === S_IFLNK) await this.child.symlink(call, { ...args, target: target! });
    else {
      // What distribute has left of a file of that name goes when it is looked for.
      await this.child.lookup(call, { parent, name }).catch((error) => {
        if (!ENOENT.matches(error) && !ESTALE.matches(error)) throw error;
      });
      await this.child.mknod(call, { ...args, mode, rdev });
    }
    return DONE;
  }
}

function bytesOf(value: DictValue | undefined): Uint8Array | undefined {
  return value && valueBytes(value);
}

/** Attributes that a reply may tell of the inode that was asked about. */
interface Told {
  readonly stat?: Iatt;
  readonly pre?: Iatt;
  readonly post?: Iatt;
}

function disguised<R>(reply: R, gfid: Gfid): R {
  const found: Record<string, Iatt> = {};
  for (const [key, stat] of Object.entries(reply as Told)) {
    if (stat && ["stat", "pre", "post"].includes(key)) found[key] = { ...stat, gfid };
  }
  return { ...reply, ...found };
}

/** `features/gfid-access`: files by their gfid. */
export const gfidAccess = defineXlator({
  type: "features/gfid-access",
  summary: "Find files by their gfid, below .gfid",
  options: {},
  subvolumes: "one",
  create: (node) => new GfidAccess(node),
});
