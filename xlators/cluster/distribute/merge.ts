/** One answer out of those of several subvolumes. */

import type { ParentReply, PrePost, Statfs } from "core/fops.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";

/** What every directory shows as its size and blocks: those of the bricks mean nothing together. */
const DIRECTORY_BYTES = 4096, DIRECTORY_BLOCKS = 8;

/** A directory's attributes as clients see them; anything else's as they are. */
export function shown<T extends Iatt | undefined>(stat: T): T {
  if (!stat || !isDirectory(stat)) return stat;
  return { ...stat, size: DIRECTORY_BYTES, blocks: DIRECTORY_BLOCKS };
}

/** One directory's attributes: the first one's, with the latest of all times. At least one is needed. */
export function mergeDirectories(stats: readonly Iatt[]): Iatt {
  return stats.reduce((one, other) => ({
    ...one,
    nlink: Math.max(one.nlink, other.nlink),
    ...later("atime", one, other),
    ...later("mtime", one, other),
    ...later("ctime", one, other),
  }), shown(stats[0]!));
}

type Time = "atime" | "mtime" | "ctime";

function later(time: Time, one: Iatt, other: Iatt): Partial<Iatt> {
  const nsec = `${time}Nsec` as const;
  const from = other[time] - one[time] || other[nsec] - one[nsec];
  return from > 0 ? { [time]: other[time], [nsec]: other[nsec] } : {};
}

/** The same for attributes before and after; undefined where none could tell. */
export function mergePrePost(answers: readonly PrePost[]): PrePost {
  const pre = answers.flatMap((each) => each.pre ?? []);
  const post = answers.flatMap((each) => each.post ?? []);
  const xdata = answers.find((each) => each.xdata)?.xdata;
  return {
    pre: pre.length ? mergeDirectories(pre) : undefined,
    post: post.length ? mergeDirectories(post) : undefined,
    ...(xdata ? { xdata } : {}),
  };
}

/** A reply with its parent's attributes as clients see them. */
export function withParents<T extends ParentReply>(reply: T): T {
  return {
    ...reply,
    preParent: shown(reply.preParent),
    postParent: shown(reply.postParent),
  };
}

/** The space of several subvolumes, in the largest of their units. At least one is needed. */
export function mergeStatfs(all: readonly Statfs[]): Statfs {
  const frsize = Math.max(...all.map((each) => each.frsize));
  const blocks = (key: "blocks" | "bfree" | "bavail") =>
    all.reduce((sum, each) => sum + Math.floor(each[key] * each.frsize / frsize), 0);
  const inodes = (key: "files" | "ffree" | "favail") =>
    all.reduce((sum, each) => sum + each[key], 0);
  const last = all.at(-1)!;
  return {
    bsize: Math.max(...all.map((each) => each.bsize)),
    frsize,
    blocks: blocks("blocks"),
    bfree: blocks("bfree"),
    bavail: blocks("bavail"),
    files: inodes("files"),
    ffree: inodes("ffree"),
    favail: inodes("favail"),
    fsid: last.fsid,
    flag: last.flag,
    namemax: Math.min(...all.map((each) => each.namemax)),
  };
}
