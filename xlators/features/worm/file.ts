/** One file's retention: reading it, committing it, ending it. */

import type { Call } from "core/call.ts";
import { EIO, ENODATA } from "core/errno.ts";
import type { AttrChanges } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import type { Fd, Inode } from "core/inode.ts";
import { type DictValue, str, valueText, Xdata } from "core/xdata.ts";
import type { Xlator } from "core/xlator.ts";
import {
  parseRetention,
  printRetention,
  type Retention,
  RETENTION_STATE,
  START_TIME,
  WORM_FILE,
} from "xlators/features/worm/retention.ts";

/** What the options say; times in seconds. */
export interface Policy {
  readonly retentionSec: number;
  readonly autoCommitSec: number;
  readonly enterprise: boolean;
  readonly deletable: boolean;
}

/** A file as a fop names it. An open one may have lost its last name. */
export type Target = { readonly inode: Inode } | { readonly fd: Fd };

/** The xattrs and times of one file, read and written as root. Methods throw FopError. */
export class WormFile {
  readonly #child: Xlator;
  readonly #call: Call;
  readonly #target: Target;

  constructor(child: Xlator, call: Call, target: Target) {
    this.#child = child;
    this.#call = { ...call, uid: 0, gid: 0, groups: [] };
    this.#target = target;
  }

  /** The file was made now. */
  begin(nowSec: number): Promise<unknown> {
    return this.#set(START_TIME, { type: "uint", value: nowSec });
  }

  /** The file is written: from now on it may be committed. */
  close(): Promise<unknown> {
    return this.#set(WORM_FILE, { type: "int", value: 1 });
  }

  /** True if the file was made under file-level WORM and closed. */
  async isWorm(): Promise<boolean> {
    return await this.#get(WORM_FILE) !== undefined;
  }

  /** The state if the file was committed. */
  async retention(): Promise<Retention | undefined> {
    const text = await this.#get(RETENTION_STATE);
    if (text === undefined) return undefined;
    const state = parseRetention(text);
    if (!state) throw EIO;
    return state;
  }

  /** Commits the file: retained from now on. The access time says until when. */
  async commit(policy: Policy, nowSec: number): Promise<void> {
    const { retentionSec, autoCommitSec, enterprise } = policy;
    await this.#setAtime(nowSec + retentionSec);
    await this.store({
      worm: true,
      retained: true,
      legalHold: false,
      enterprise,
      periodSec: retentionSec,
      autoCommitSec,
    });
  }

  /** Writes the state. */
  store(state: Retention): Promise<unknown> {
    return this.#set(RETENTION_STATE, str(printRetention(state)));
  }

  /**
   * True if the file may not be changed any more, or, with `deleting`, may not go. Commits it if it
   * has not been written for long enough, ends retention that is over.
   */
  async isProtected(policy: Policy, nowSec: number, deleting: boolean): Promise<boolean> {
    const start = Number(await this.#get(START_TIME));
    const [stat, state] = [await this.stat(), await this.retention()];
    if (!state) {
      // A time that cannot be read protects, as one that is long past.
      if (nowSec - start < policy.autoCommitSec || nowSec - stat.mtime < policy.autoCommitSec) {
        return false;
      }
      await this.commit(policy, nowSec);
      return true;
    }
    let { retained } = state;
    if (retained && nowSec >= stat.atime) {
      retained = false;
      await this.store({ ...state, retained, periodSec: 0, autoCommitSec: 0 });
      await this.#setAtime(stat.atime - state.periodSec);
    }
    return !(deleting && state.worm && !retained && policy.deletable);
  }

  stat(): Promise<Iatt> {
    const target = this.#target;
    const answer = "fd" in target
      ? this.#child.fstat(this.#call, target)
      : this.#child.stat(this.#call, target);
    return answer.then(({ stat }) => stat);
  }

  async #get(name: string): Promise<string | undefined> {
    const target = this.#target;
    try {
      const { xattrs } = "fd" in target
        ? await this.#child.fgetxattr(this.#call, { ...target, name })
        : await this.#child.getxattr(this.#call, { ...target, name });
      const value = xattrs?.raw(name);
      return value && valueText(value);
    } catch (error) {
      if (ENODATA.matches(error)) return undefined;
      throw error;
    }
  }

  #set(name: string, value: DictValue): Promise<unknown> {
    const xattrs = Xdata.of([[name, value]]), target = this.#target;
    return "fd" in target
      ? this.#child.fsetxattr(this.#call, { ...target, xattrs, flags: 0 })
      : this.#child.setxattr(this.#call, { ...target, xattrs, flags: 0 });
  }

  #setAtime(sec: number): Promise<unknown> {
    const changes: AttrChanges = { atime: { sec, nsec: 0 } }, target = this.#target;
    return "fd" in target
      ? this.#child.fsetattr(this.#call, { ...target, changes })
      : this.#child.setattr(this.#call, { ...target, changes });
  }
}
