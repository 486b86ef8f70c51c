/**
 * What all parts of distribute share: the subvolumes by number, how names are hashed, and what is
 * known of where inodes are.
 */

import type { Call, LkOwner } from "core/call.ts";
import type { Env } from "core/env.ts";
import {
  EINVAL,
  ENAMETOOLONG,
  ENODATA,
  ENOENT,
  ENOTCONN,
  ESTALE,
  type FopError,
} from "core/errno.ts";
import type { LookupReply } from "core/fops.ts";
import { type Iatt, isRegular, S_IFREG } from "core/iatt.ts";
import { type Inode, type InodeTable, PerInode } from "core/inode.ts";
import { encodeName, toHex } from "core/lib/bytes.ts";
import { bytesKey, requestKey, textKey, Xdata } from "core/xdata.ts";
import type { Node, Settled, Xlator } from "core/xlator.ts";
import { NameHash } from "xlators/cluster/distribute/hash.ts";
import { Layout, NO_SHARE, parseShare } from "xlators/cluster/distribute/layout.ts";
import { type DistributeValues, patternsOf } from "xlators/cluster/distribute/options.ts";

/** A directory's share of the hashes, on each subvolume's copy of it. */
export const SHARE = bytesKey("trusted.glusterfs.dht");
/** In a link file: the name of the subvolume that has the data. */
export const LINKTO = textKey("trusted.glusterfs.dht.linkto");
/** On the copy of a directory that decides what attributes are right. */
export const MDS = bytesKey("trusted.glusterfs.dht.mds");
/** The brick removes the name only if it is a link file. */
export const ONLY_LINKTO = requestKey("unlink-only-if-dht-linkto-file");
/** A link file that is in the way of a new name gives way. */
export const FORCE_REPLACE = requestKey("force-replace");

/** Permission bits of a link file, all of them. */
const LINK_MODE = 0o1000, PERMISSIONS = 0o7777;
/** Mode that a link file is made with. */
export const LINK_FILE_MODE = S_IFREG | LINK_MODE;
const NAME_BYTES_MAX = 255;

/** A file's place: the subvolume that has its data. */
export interface FilePlace {
  readonly kind: "file";
  readonly index: number;
}

/** What is known of a directory. */
export interface DirectoryPlace {
  readonly kind: "directory";
  readonly layout: Layout;
  /** The subvolume whose copy decides about attributes; undefined if none says so, as for the root. */
  readonly mds: number | undefined;
  /** Where it was last found; undefined if it was reached by its gfid alone. */
  readonly path: string | undefined;
}

export type Place = FilePlace | DirectoryPlace;

/** See the head of this file. */
export class Subvolumes {
  readonly all: readonly Xlator[];
  readonly names: readonly string[];
  /** Their numbers in the order in which all clients lock: by name. */
  readonly lockOrder: readonly number[];
  readonly env: Env;
  readonly inodes: InodeTable;
  readonly #hashes = new Map<DistributeValues, NameHash>();
  #places = new PerInode<Place>();
  values: DistributeValues;

  constructor(node: Node, values: DistributeValues) {
    this.all = node.children;
    const names = this.names = node.children.map(({ name }) => name);
    this.lockOrder = [...names.keys()].sort((a, b) => names[a]! < names[b]! ? -1 : 1);
    this.env = node.env;
    this.inodes = node.inodes;
    this.values = values;
  }

  get count(): number {
    return this.all.length;
  }

  /** The hash of a name, or of a path. */
  hash(name: string): number {
    let hash = this.#hashes.get(this.values);
    if (!hash) {
      this.#hashes.clear();
      this.#hashes.set(this.values, hash = new NameHash(patternsOf(this.values)));
    }
    return hash.of(name);
  }

  /** The number of the subvolume that a link file names. */
  numberOf(name: string | undefined): number | undefined {
    const index = name === undefined ? -1 : this.names.indexOf(name);
    return index < 0 ? undefined : index;
  }

  /** What is known of `inode`. */
  placeOf(inode: Inode): Place | undefined {
    return this.#places.get(inode);
  }

  remember(inode: Inode, place: Place): void {
    this.#places.set(inode, place);
  }

  forget(inode: Inode): void {
    this.#places.delete(inode);
  }

  /** All is looked up anew: a subvolume came or went, and with it a part of every layout. */
  forgetAll(): void {
    this.#places = new PerInode();
  }

  /** The same call with a lock owner that nobody else has. */
  asLocker(call: Call): Call {
    return { ...call, lkOwner: toHex(this.env.random.bytes(8)) as LkOwner };
  }
}

/** The superuser on behalf of `call`'s client. */
export function asRoot(call: Call): Call {
  return { ...call, uid: 0, gid: 0, groups: [] };
}

/** Throws unless `name` can be an entry's: EINVAL, or ENAMETOOLONG. */
export function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) throw EINVAL;
  if (name.length * 3 > NAME_BYTES_MAX && encodeName(name).length > NAME_BYTES_MAX) {
    throw ENAMETOOLONG;
  }
}

/** True for what stands for a file on another subvolume; `xdata` must have been asked for LINKTO. */
export function isLinkFile(stat: Iatt, xdata: Xdata | undefined): boolean {
  return isRegular(stat) && (stat.mode & PERMISSIONS) === LINK_MODE && xdata?.has(LINKTO) === true;
}

/** True if the subvolume answered that it does not have it. */
export function isMissing(error: unknown): boolean {
  return ENOENT.matches(error) || ESTALE.matches(error);
}

/**
 * True if the subvolume has the name, but no gfid for it yet: somebody is making it, or a crash cut
 * that short.
 */
export function isUnfinished(answer: Settled<unknown>): boolean {
  return !answer.ok && ENODATA.matches(answer.error);
}

/** The answers that came. */
export function answered<T>(answers: readonly Settled<T>[]): T[] {
  return answers.flatMap((answer) => answer.ok ? [answer.value] : []);
}

/**
 * What all subvolumes together answer to a change of a directory: its answers where it is there. Throws
 * the first failure that is one: a subvolume that is away, or has no such directory yet, is brought
 * up to date when the directory is looked up.
 */
export function agreed<T>(answers: readonly Settled<T>[]): T[] {
  let failure: FopError | undefined;
  for (const answer of answers) {
    if (answer.ok) continue;
    if (!isMissing(answer.error) && !ENOTCONN.matches(answer.error)) throw answer.error;
    if (!failure || ENOTCONN.matches(answer.error)) failure = answer.error;
  }
  const values = answered(answers);
  if (!values.length && failure) throw failure;
  return values;
}

/** The layout that copies of a directory tell; a copy without a share, or none, takes no part. */
export function layoutOf(answers: readonly Settled<LookupReply>[]): Layout {
  return new Layout(answers.map((answer) => {
    if (!answer.ok) return isMissing(answer.error) ? NO_SHARE : undefined;
    const bytes = answer.value.xdata?.get(SHARE);
    return bytes && parseShare(bytes) || NO_SHARE;
  }));
}

const ASK: Xdata = Xdata.of([SHARE, LINKTO, MDS].map((key) => [
  key.name,
  { type: "uint", value: 256 },
]));

/** Extra data of a lookup, with what distribute asks itself. */
export function asking(xdata: Xdata | undefined): Xdata {
  return xdata ? xdata.merged(ASK) : ASK;
}

/** The answer without what only distribute asked. */
export function forCaller(xdata: Xdata | undefined, asked: Xdata | undefined): Xdata | undefined {
  if (!xdata) return undefined;
  const own = [SHARE, LINKTO, MDS].filter((key) => xdata.has(key) && asked?.has(key) !== true);
  return own.length ? xdata.without(...own) : xdata;
}
