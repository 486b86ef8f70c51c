/**
 * Says no as a local file system would: mode bits, POSIX ACLs, the sticky bit, who may chmod and
 * chown. Storage runs as root, and a client's own kernel may not check (libgfapi has none).
 *
 * What decides is kept per inode and asked of storage when it is not known. Root and daemons are not
 * checked, so a client that acts for root never causes a question, except on names that come into
 * a directory: a default ACL counts for all. An inode whose owner, mode or lists may have changed is
 * forgotten when the change is answered; an answer that was asked for before that is not kept.
 *
 * Reading and writing through an open file is not checked: the permission was that of opening it.
 * Which fop asks for what is GlusterFS's (posix-acl.c); beyond it fsetattr, fsetxattr and
 * fremovexattr are checked as their path forms are, and access(2) says what storage says to root, who
 * cannot execute a file that nobody can.
 */

import { type Call, isInternal } from "core/call.ts";
import { Derived } from "core/derived.ts";
import { EACCES, EINVAL, ENOENT, EPERM, ESTALE, FopError } from "core/errno.ts";
import {
  type Args,
  type AttrChanges,
  type Empty,
  type EntryReply,
  O_ACCMODE,
  O_APPEND,
  O_TRUNC,
  O_WRONLY,
  type PrePost,
  type Reply,
  type WithXdata,
} from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { type Inode, PerInode } from "core/inode.ts";
import { int, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { bytesKey, ptr, valueBytes, Xdata } from "core/xdata.ts";
import { UMASK, UNMASKED_MODE } from "core/xdata_keys.ts";
import { type Node, PassThrough } from "core/xlator.ts";
import {
  type Acl,
  EXECUTE,
  inGroup,
  inherit,
  type Owned,
  parseAcl,
  permits,
  printAcl,
  READ,
  WRITE,
} from "xlators/features/access-control/acl.ts";

const options = {
  "super-uid": int({
    default: 0,
    min: 0,
    max: 0xffffffff,
    help: "Another user who may do all that root may.",
  }),
} satisfies OptionTable;

const ACCESS = bytesKey("system.posix_acl_access");
const DEFAULT = bytesKey("system.posix_acl_default");
// The names under which lists also travel, as text.
const OTHER_NAMES = ["glusterfs.posix.acl", "glusterfs.posix.default_acl"];
const ACL_NAMES: ReadonlySet<string> = new Set([ACCESS.name, DEFAULT.name, ...OTHER_NAMES]);
const NOTHING = new Xdata(new Map());
const ACL_REQUEST = Xdata.of([
  [ACCESS.name, { type: "int", value: 0 }],
  [DEFAULT.name, { type: "int", value: 0 }],
]);

const S_ISVTX = 0o1000, S_ISGID = 0o2000;
/** Linux's FMODE_EXEC: opened to be executed. */
const FMODE_EXEC = 0o40;
const NFS_PID = 1;

/** What is known of an inode. */
interface Known extends Owned {
  readonly byDefault: Acl | undefined;
}

interface Kept {
  known: Known | undefined;
  /** When it last changed; answers to older questions are not kept. */
  changedAt: number;
}

class AccessControl extends PassThrough {
  #superUid: number;
  readonly #kept = new PerInode<Kept>();
  readonly #asking = new Derived((given) => given?.merged(ACL_REQUEST) ?? ACL_REQUEST);
  // Orders questions and changes.
  #now = 0;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#superUid = values["super-uid"];
  }

  reconfigure(values: Values<typeof options>): void {
    this.#superUid = values["super-uid"];
  }

  #isExempt(call: Call): boolean {
    return call.uid === 0 || call.uid === this.#superUid || isInternal(call);
  }

  // What is known of an inode, at once if possible.
  #knownOf(call: Call, inode: Inode): Known | Promise<Known> {
    return this.#kept.get(inode)?.known ?? this.#ask(call, inode);
  }

  async #ask(call: Call, inode: Inode): Promise<Known> {
    const asked = ++this.#now;
    try {
      const args = { inode, name: "", xdata: ACL_REQUEST };
      const { stat, xdata } = await this.child.lookup(asRoot(call), args);
      return this.#keep(inode, asked, stat, xdata);
    } catch (error) {
      // The caller did not look for it: it has a gfid, and that leads nowhere any more.
      throw ENOENT.matches(error) ? ESTALE : error;
    }
  }

  #keep(inode: Inode, asked: number, stat: Iatt, xdata: Xdata | undefined): Known {
    const acl = aclIn(xdata, ACCESS.name), byDefault = aclIn(xdata, DEFAULT.name);
    const known = { uid: stat.uid, gid: stat.gid, mode: stat.mode, acl, byDefault };
    const kept = this.#kept.get(inode);
    if (!kept) this.#kept.set(inode, { known, changedAt: 0 });
    else if (kept.changedAt < asked) kept.known = known;
    return known;
  }

  #changed(inode: Inode): void {
    this.#kept.set(inode, { known: undefined, changedAt: ++this.#now });
  }

  // Forgets the inode once `answer` is there; a failure may have come after the change.
  #changing<R>(inode: Inode, answer: Promise<R>): Promise<R> {
    return answer.finally(() => this.#changed(inode));
  }

  // Goes on if `test` finds nothing wrong.
  #if<R>(
    call: Call,
    inode: Inode,
    test: (known: Known) => Error | undefined,
    go: () => Promise<R>,
  ): Promise<R> {
    if (this.#isExempt(call)) return go();
    const judge = (known: Known): Promise<R> => {
      const wrong = test(known);
      if (!wrong) return go();
      this.env.log.debug("refused", { gfid: inode.gfid, uid: call.uid, gid: call.gid });
      return Promise.reject(wrong);
    };
    const known = this.#knownOf(call, inode);
    return known instanceof Promise ? known.then(judge) : judge(known);
  }

  #ifMay<R>(call: Call, inode: Inode, want: number, go: () => Promise<R>): Promise<R> {
    return this.#if(
      call,
      inode,
      (known) => permits(call, known, want) ? undefined : EACCES,
      go,
    );
  }

  override lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    const { parent, inode, name } = args;
    if (this.#isExempt(call)) {
      const reply = this.child.lookup(call, args);
      return args.xdata ? reply : reply.then(withXdata);
    }
    const go = () => {
      const reply = this.#lookup(call, args);
      return args.xdata ? reply : reply.then(withXdata);
    };
    // Nameless, or the root: no way leads there that could be closed.
    if (!parent || name === "" || parent === inode) return go();
    return this.#ifMay(call, parent, EXECUTE, go);
  }

  // Lists are asked along: whoever looks up a name will soon use it.
  async #lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    const asked = ++this.#now;
    const reply = await this.child.lookup(call, { ...args, xdata: this.#asking.of(args.xdata) });
    this.#keep(this.inodes.of(reply.stat.gfid), asked, reply.stat, reply.xdata);
    return reply;
  }

  override access(call: Call, args: Args<"access">): Promise<Empty> {
    const { mask, inode } = args;
    // Storage knows whether the file is there, and what even root cannot execute.
    const go = () => this.child.access(call, args);
    if (mask === 0) return go();
    const want = mask & 7;
    return want ? this.#ifMay(call, inode, want, go) : Promise.reject(EINVAL);
  }

  override open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const want = wantOf(args.flags);
    return this.#ifMay(call, args.inode, want, () => this.child.open(call, args));
  }

  override opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    return this.#ifMay(call, args.inode, READ, () => this.child.opendir(call, args));
  }

  override readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.#ifMay(call, args.fd.inode, READ, () => this.child.readdir(call, args));
  }

  override readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.#ifMay(call, args.fd.inode, READ, () => this.child.readdirp(call, args));
  }

  override truncate(call: Call, args: Args<"truncate">): Promise<PrePost> {
    return this.#if(
      call,
      args.inode,
      (known) => {
        // NFS has no open files: its server truncates what an owner had opened for writing.
        const asOwner = call.pid === NFS_PID && call.uid === known.uid;
        return asOwner || permits(call, known, WRITE) ? undefined : EACCES;
      },
      () => this.child.truncate(call, args),
    );
  }

  override mkdir(call: Call, args: Args<"mkdir">): Promise<EntryReply> {
    return this.#making(call, args, true, (made) => this.child.mkdir(call, made));
  }
  override mknod(call: Call, args: Args<"mknod">): Promise<EntryReply> {
    return this.#making(call, args, false, (made) => this.child.mknod(call, made));
  }
  override create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return this.#making(call, args, false, (made) => this.child.create(call, made));
  }
  override put(call: Call, args: Args<"put">): Promise<EntryReply> {
    return this.#making(call, args, false, (made) => this.child.put(call, made));
  }
  override symlink(call: Call, args: Args<"symlink">): Promise<EntryReply> {
    return this.#ifMay(call, args.parent, WRITE | EXECUTE, () => this.child.symlink(call, args));
  }
  override namelink(call: Call, args: Args<"namelink">): Promise<Reply<"namelink">> {
    return this.#ifMay(call, args.parent, WRITE | EXECUTE, () => this.child.namelink(call, args));
  }
  override link(call: Call, args: Args<"link">): Promise<EntryReply> {
    return this.#ifMay(call, args.parent, WRITE | EXECUTE, () => this.child.link(call, args));
  }

  // A name that comes with a mode: the parent's default ACL decides it for everybody.
  #making<A extends Args<"mkdir">, R extends WithXdata>(
    call: Call,
    args: A,
    isDirectory: boolean,
    make: (args: A) => Promise<R>,
  ): Promise<R> {
    const go = () => {
      const known = this.#knownOf(call, args.parent);
      return known instanceof Promise
        ? known.then((parent) => make(inherited(args, parent.byDefault, isDirectory)))
        : make(inherited(args, known.byDefault, isDirectory));
    };
    return this.#ifMay(call, args.parent, WRITE | EXECUTE, go);
  }

  override unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#removing(call, args.parent, args.name, () => this.child.unlink(call, args));
  }
  override rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.#removing(call, args.parent, args.name, () => this.child.rmdir(call, args));
  }
  override rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    const { oldParent, oldName, newParent, newName } = args;
    return this.#removing(
      call,
      oldParent,
      oldName,
      () => this.#removing(call, newParent, newName, () => this.child.rename(call, args)),
    );
  }

  // A name that goes, or is replaced: in a sticky directory only by who owns either.
  #removing<R>(call: Call, parent: Inode, name: string, go: () => Promise<R>): Promise<R> {
    let sticky = false;
    return this.#if(
      call,
      parent,
      (known) => {
        sticky = (known.mode & S_ISVTX) !== 0 && call.uid !== known.uid;
        return permits(call, known, WRITE | EXECUTE) ? undefined : EACCES;
      },
      () => sticky ? this.#ifOwner(call, parent, name, go) : go(),
    );
  }

  #ifOwner<R>(call: Call, parent: Inode, name: string, go: () => Promise<R>): Promise<R> {
    return this.child.lookup(asRoot(call), { parent, name }).then(
      ({ stat }) => stat.uid === call.uid ? go() : Promise.reject(EACCES),
      // What is not there is not protected; the fop itself says what is wrong.
      (error) => {
        if (!(error instanceof FopError)) throw error;
        return go();
      },
    );
  }

  override setattr(call: Call, args: Args<"setattr">): Promise<PrePost> {
    const { inode } = args;
    return this.#setting(
      call,
      inode,
      args.changes,
      (changes) => this.child.setattr(call, changes === args.changes ? args : { ...args, changes }),
    );
  }

  override fsetattr(call: Call, args: Args<"fsetattr">): Promise<PrePost> {
    return this.#setting(
      call,
      args.fd.inode,
      args.changes,
      (changes) =>
        this.child.fsetattr(call, changes === args.changes ? args : { ...args, changes }),
    );
  }

  #setting(
    call: Call,
    inode: Inode,
    changes: AttrChanges,
    set: (changes: AttrChanges) => Promise<PrePost>,
  ): Promise<PrePost> {
    let allowed = changes;
    return this.#if(
      call,
      inode,
      (known) => {
        // A group that the caller is not in must not get its files marked set-group-id.
        if (changes.mode !== undefined && !inGroup(call, known.gid)) {
          allowed = { ...changes, mode: changes.mode & ~S_ISGID };
        }
        return attributesRefusal(call, known, changes);
      },
      () => this.#changing(inode, set(allowed)),
    );
  }

  override setxattr(call: Call, args: Args<"setxattr">): Promise<Empty> {
    return this.#xattrs(
      call,
      args.inode,
      args.xattrs?.names(),
      () => this.child.setxattr(call, args),
    );
  }
  override fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Empty> {
    return this.#xattrs(
      call,
      args.fd.inode,
      args.xattrs?.names(),
      () => this.child.fsetxattr(call, args),
    );
  }
  override removexattr(call: Call, args: Args<"removexattr">): Promise<Empty> {
    const names = args.name === "" ? args.xdata?.names() : [args.name];
    return this.#xattrs(call, args.inode, names, () => this.child.removexattr(call, args));
  }
  override fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Empty> {
    const names = args.name === "" ? args.xdata?.names() : [args.name];
    return this.#xattrs(call, args.fd.inode, names, () => this.child.fremovexattr(call, args));
  }

  #xattrs(
    call: Call,
    inode: Inode,
    names: Iterable<string> | undefined,
    change: () => Promise<Empty>,
  ): Promise<Empty> {
    const ofLists = hasAclName(names);
    return this.#if(
      call,
      inode,
      (known) => {
        if (ofLists) return call.uid === known.uid ? undefined : EPERM;
        return permits(call, known, WRITE) ? undefined : EACCES;
      },
      () => ofLists ? this.#changing(inode, change()) : change(),
    );
  }

  override getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    if (ACL_NAMES.has(args.name)) return this.child.getxattr(call, args);
    return this.#ifMay(call, args.inode, READ, () => this.child.getxattr(call, args));
  }
}

function asRoot(call: Call): Call {
  return { ...call, uid: 0, gid: 0, groups: [] };
}

function aclIn(xdata: Xdata | undefined, name: string): Acl | undefined {
  const value = xdata?.raw(name), bytes = value && valueBytes(value);
  return bytes && parseAcl(bytes);
}

function hasAclName(names: Iterable<string> | undefined): boolean {
  for (const name of names ?? []) if (ACL_NAMES.has(name)) return true;
  return false;
}

function wantOf(flags: number): number {
  const mode = flags & O_ACCMODE;
  let want = 0;
  if (mode === 0) want = flags & FMODE_EXEC ? EXECUTE : READ;
  else if (mode === O_WRONLY) want = WRITE;
  else want = READ | WRITE;
  return flags & (O_TRUNC | O_APPEND) ? want | WRITE : want;
}

function attributesRefusal(call: Call, known: Known, changes: AttrChanges): Error | undefined {
  const isOwner = call.uid === known.uid;
  if (changes.mode !== undefined && !isOwner) return EPERM;
  const setsTimes = changes.atime !== undefined || changes.mtime !== undefined;
  if (setsTimes && !isOwner && !permits(call, known, WRITE)) return EACCES;
  if (changes.uid !== undefined && changes.uid !== known.uid) return EPERM;
  if (changes.gid !== undefined && !(isOwner && inGroup(call, changes.gid))) return EPERM;
  return undefined;
}

// The mode that counts, and the lists that a new file gets, for storage to set.
function inherited<A extends Args<"mkdir">>(
  args: A,
  byDefault: Acl | undefined,
  isDirectory: boolean,
): A {
  const { xdata } = args;
  const umask = xdata?.get(UMASK) ?? args.umask;
  // Sent as 16 bits with a sign.
  const unmasked = xdata?.get(UNMASKED_MODE);
  const asked = unmasked === undefined ? args.mode : args.mode & ~0o7777 | unmasked & 0o7777;
  const rest = xdata?.without(UMASK.name, UNMASKED_MODE.name);
  if (!byDefault) return { ...args, mode: asked & ~umask, umask: 0, xdata: rest };
  const { acl, mode } = inherit(byDefault, asked);
  const lists = Xdata.of([
    [ACCESS.name, ptr(printAcl(acl))],
    ...(isDirectory ? [[DEFAULT.name, ptr(printAcl(byDefault))] as const] : []),
  ]);
  return { ...args, mode, umask: 0, xdata: rest?.merged(lists) ?? lists };
}

// GlusterFS's layer of this name asks for lists with every lookup, so its answers always have extra
// data. The healer of dispersed files relies on it: it asks for nothing, and where no extra data comes
// it takes the file's attributes for healed.
function withXdata(reply: Reply<"lookup">): Reply<"lookup"> {
  return reply.xdata ? reply : { ...reply, xdata: NOTHING };
}

/** `features/access-control`: mode bits and POSIX ACLs at the brick. */
export const accessControl = defineXlator({
  type: "features/access-control",
  aliases: ["system/posix-acl"],
  summary: "Check mode bits and POSIX ACLs",
  options,
  subvolumes: "one",
  create: (node, values) => new AccessControl(node, values),
});
