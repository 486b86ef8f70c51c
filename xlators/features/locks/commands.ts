/** Attributes that are commands on locks: clearing them, and taking them along to another open file. */

import { type Call, type Client, isInternal } from "core/call.ts";
import type { Random } from "core/env.ts";
import { EINVAL, FopError } from "core/errno.ts";
import type { XattrReply } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { str, textKey, Xdata } from "core/xdata.ts";
import type { Xlator } from "core/xlator.ts";
import {
  type ClearCommand,
  clearSummary,
  inClearRange,
  parseClearCommand,
  placeInPathinfo,
} from "xlators/features/locks/clear.ts";
import type { Cleared } from "xlators/features/locks/domain.ts";
import type { DomainTable } from "xlators/features/locks/domain_table.ts";
import type { Entrylk } from "xlators/features/locks/entrylk.ts";
import type { Inodelk } from "xlators/features/locks/inodelk.ts";
import {
  brickInPathinfo,
  decodeLockinfo,
  encodeLockinfo,
  FdNumbers,
  LOCKINFO_KEY,
} from "xlators/features/locks/lockinfo.ts";
import type { PosixTable } from "xlators/features/locks/posix_table.ts";

/** Storage's answer to "where is this file", for people. */
const PATHINFO = textKey("trusted.glusterfs.pathinfo");

/** What the commands work on. */
export interface Tables {
  readonly inodelks: DomainTable<Inodelk>;
  readonly entrylks: DomainTable<Entrylk>;
  readonly posixlks: PosixTable;
  /** Throws ENOTCONN for a client that went away. */
  mustBeHere(client: Client): void;
}

/** See the head of this file. */
export class Commands {
  readonly #name: string;
  readonly #child: Xlator;
  readonly #tables: Tables;
  readonly #numbers: FdNumbers;

  constructor(name: string, child: Xlator, random: Random, tables: Tables) {
    this.#name = name;
    this.#child = child;
    this.#tables = tables;
    this.#numbers = new FdNumbers(random);
  }

  /** Clears what `name` names on `inode`; answers, under that name, how many and where. */
  async clear(call: Call, inode: Inode, name: string): Promise<XattrReply> {
    const command = parseClearCommand(name);
    if (command.own && isInternal(call)) throw EINVAL;
    const cleared = this.#clear(call, inode, command);
    const place = placeInPathinfo(await this.#pathinfo(call, inode)) ?? this.#name;
    return { xattrs: Xdata.of([[name, str(clearSummary(place, command.kind, cleared))]]) };
  }

  /** What another open file may take this one's locks with; nothing if it has none. */
  async lockinfo(call: Call, fd: Fd): Promise<XattrReply> {
    const { posixlks } = this.#tables;
    if (!posixlks.inodes.get(fd.inode.gfid)?.has(fd)) return { xattrs: undefined };
    const info = encodeLockinfo(await this.#brick(call, fd.inode), this.#numbers.of(fd));
    return { xattrs: new Xdata(new Map()).with(LOCKINFO_KEY, info) };
  }

  /** Hands the locks that `info` names to `fd` and the caller. Throws EINVAL on what cannot be read. */
  async takeLocks(call: Call, fd: Fd, info: Uint8Array): Promise<void> {
    const number = decodeLockinfo(info, await this.#brick(call, fd.inode));
    const { posixlks, mustBeHere } = this.#tables;
    mustBeHere(call.client);
    if (number === undefined) return;
    posixlks.move((from) => this.#numbers.isOf(from, number), fd, call.client);
  }

  #clear(call: Call, { gfid }: Inode, command: ClearCommand): Cleared {
    const { inodelks, entrylks, posixlks } = this.#tables;
    const { kind, which, name, own } = command;
    switch (kind) {
      case "inode":
        return inodelks.clear(gfid, which, (lock) => inClearRange(command, lock.flock));
      case "entry":
        return entrylks.clear(gfid, which, (lock) => name === undefined || name === lock.name);
      case "posix":
        return posixlks.clear(
          gfid,
          which,
          (asked, { client, pid }) =>
            inClearRange(command, asked) && (!own || (client === call.client && pid === call.pid)),
        );
    }
  }

  /** What this brick is called in lockinfo: not the layer's name, which all bricks share. */
  async #brick(call: Call, inode: Inode): Promise<string> {
    return brickInPathinfo(await this.#pathinfo(call, inode)) ?? this.#name;
  }

  /** Where the file is, in storage's words; "" if it does not tell. */
  async #pathinfo(call: Call, inode: Inode): Promise<string> {
    try {
      const { xattrs } = await this.#child.getxattr(call, { inode, name: PATHINFO.name });
      return xattrs?.get(PATHINFO) ?? "";
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      return "";
    }
  }
}
