/** What a healer works on: the copies of one set, as layers, and the words for asking several of them. */

import { type Call, type LkOwner, PID_SELF_HEAL, ROOT } from "core/call.ts";
import type { Env } from "core/env.ts";
import { ENOTCONN, type FopError } from "core/errno.ts";
import type { InodeTable } from "core/inode.ts";
import { toHex } from "core/lib/bytes.ts";
import { settle, type Settled, type Xlator } from "core/xlator.ts";
import type { MarkKeys } from "xlators/cluster/replicate/blame.ts";
import type { AnonymousDirectory } from "xlators/cluster/replicate/private_names.ts";

/** Which copy is right if each is blamed; "none": nobody decides, the file stays as it is. */
export const FAVORITES = ["none", "size", "ctime", "mtime", "majority"] as const;
export type Favorite = (typeof FAVORITES)[number];

/** What a set is made of. */
export interface HealSetParts {
  /** Of the replicate layer: lock domains are named after it. */
  readonly name: string;
  readonly copies: readonly Xlator[];
  /** Names of the copies in marks, in their order. */
  readonly copyNames: readonly string[];
  /** True: the last copy keeps no data. */
  readonly arbiter: boolean;
  readonly favorite: Favorite;
  /** No change counts that less than half of the copies have; false if absent. */
  readonly majority?: boolean;
  /** Clients note which names of a directory differ. */
  readonly granular: boolean;
  /** Where files with wrong names are kept until they have a right one; absent: nowhere. */
  readonly anonymous?: AnonymousDirectory | undefined;
  readonly env: Env;
  readonly inodes: InodeTable;
}

/** See the head of this file. Its calls are a daemon's. */
export class HealSet {
  readonly name: string;
  readonly copies: readonly Xlator[];
  readonly copyNames: readonly string[];
  readonly arbiter: number | undefined;
  readonly env: Env;
  readonly inodes: InodeTable;
  readonly keys: MarkKeys;
  readonly call: Call;
  favorite: Favorite;
  granular: boolean;
  anonymous: AnonymousDirectory | undefined;
  majority: boolean;

  constructor(parts: HealSetParts) {
    this.name = parts.name;
    this.copies = parts.copies;
    this.copyNames = parts.copyNames;
    this.arbiter = parts.arbiter ? parts.copies.length - 1 : undefined;
    this.favorite = parts.favorite;
    this.granular = parts.granular;
    this.anonymous = parts.anonymous;
    this.majority = parts.majority ?? false;
    this.env = parts.env;
    this.inodes = parts.inodes;
    this.keys = {
      pending: parts.copyNames.map((name) => `trusted.afr.${name}`),
      dirty: "trusted.afr.dirty",
    };
    this.call = { ...ROOT, pid: PID_SELF_HEAL };
  }

  get count(): number {
    return this.copies.length;
  }

  /** Domain in which healers keep out of each other's way. */
  get healers(): string {
    return `${this.name}:self-heal`;
  }

  /** Numbers of all copies. */
  get all(): number[] {
    return this.copies.map((_, index) => index);
  }

  /** The healer's call as a lock owner that nobody else is. */
  locker(): Call {
    return { ...this.call, lkOwner: toHex(this.env.random.bytes(8)) as LkOwner };
  }

  /** Asks the copies `which`, at once; answers by number of the copy, ENOTCONN for the others. */
  async ask<T>(
    which: readonly number[],
    question: (copy: Xlator, index: number) => Promise<T>,
  ): Promise<Settled<T>[]> {
    const answers: Settled<T>[] = this.all.map(() => ({ ok: false, error: ENOTCONN }));
    const given = await settle(which.map((index) => question(this.copies[index]!, index)));
    which.forEach((index, at) => answers[index] = given[at]!);
    return answers;
  }
}

/** Numbers of the copies that answered well. */
export function succeeded(answers: readonly Settled<unknown>[]): number[] {
  return answers.flatMap((answer, index) => answer.ok ? [index] : []);
}

/** The failures among answers. */
export function failures(answers: readonly Settled<unknown>[]): FopError[] {
  return answers.flatMap((answer) => answer.ok ? [] : [answer.error]);
}
