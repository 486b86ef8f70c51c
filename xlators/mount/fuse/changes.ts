/**
 * What changes through this mount, counted in moments: a listing that was read from bricks before is
 * not told to the kernel as if it were from now.
 */

import { O_TRUNC } from "core/fops.ts";
import { OP } from "xlators/mount/fuse/protocol.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

/** Requests that change the node that they are about. */
const CHANGES: ReadonlySet<number> = new Set([
  OP.WRITE,
  OP.SETATTR,
  OP.SETXATTR,
  OP.REMOVEXATTR,
  OP.FALLOCATE,
]);
/** Requests that change names in the directory that they are about. */
const NAMES: ReadonlySet<number> = new Set([
  OP.CREATE,
  OP.MKNOD,
  OP.MKDIR,
  OP.SYMLINK,
  OP.UNLINK,
  OP.RMDIR,
]);
/** Those that name a second node at the beginning of their fields. */
const NAMES_OF_TWO: ReadonlySet<number> = new Set([OP.RENAME, OP.RENAME2, OP.LINK]);
/** Where COPY_FILE_RANGE has the node that it writes to. */
const COPY_TO = 16;
/** Nodes whose changes are remembered. */
const MARKS_MAX = 4096;

interface Mark {
  under: number;
  at: number;
}

/** A request that changes something. */
export interface Change {
  readonly marks: readonly Mark[];
  readonly names: boolean;
}

/** See the head of this file. */
export class Changes {
  readonly #marks = new Map<number, Mark>();
  #moment = 0;
  /** Everything counts as changed then. */
  #floor = 0;
  #underWay = 0;
  #naming = 0;
  #namesAt = 0;

  /** The number of the last change that began or ended. */
  get moment(): number {
    return this.#moment;
  }

  /** True if nothing changed since that moment, nor is changing. */
  isQuiet(moment: number): boolean {
    return this.#underWay === 0 && this.#moment === moment;
  }

  /** True if the node changed since, or is changing. */
  isChanged(node: number, moment: number): boolean {
    const mark = this.#marks.get(node);
    return moment < this.#floor || mark !== undefined && (mark.under > 0 || mark.at > moment);
  }

  /** True if the name of any file came or went since, or does now. */
  areNamesChanged(moment: number): boolean {
    return this.#naming > 0 || this.#namesAt > moment;
  }

  /** A request begins. Answers what `end` takes; undefined if it changes nothing. */
  begin(request: Request): Change | undefined {
    const { opcode, nodeid } = request;
    if (CHANGES.has(opcode)) return this.#begin(false, nodeid);
    if (NAMES.has(opcode)) return this.#begin(true, nodeid);
    if (NAMES_OF_TWO.has(opcode)) return this.#begin(true, nodeid, request.u64(0));
    if (opcode === OP.OPEN && request.u32(0) & O_TRUNC) return this.#begin(false, nodeid);
    return opcode === OP.COPY_FILE_RANGE ? this.#begin(false, request.u64(COPY_TO)) : undefined;
  }

  #begin(names: boolean, ...nodes: number[]): Change {
    this.#underWay++;
    if (names) this.#naming++;
    const marks = nodes.map((node) => this.#mark(node));
    for (const mark of marks) mark.under++;
    this.#moment++;
    return { marks, names };
  }

  /** It ended, well or not. */
  end({ marks, names }: Change): void {
    this.#underWay--;
    this.#moment++;
    if (names) {
      this.#naming--;
      this.#namesAt = this.#moment;
    }
    for (const mark of marks) {
      mark.under--;
      mark.at = this.#moment;
    }
  }

  /** Somebody else changed it. */
  note(node: number): void {
    this.#mark(node).at = ++this.#moment;
  }

  #mark(node: number): Mark {
    const found = this.#marks.get(node);
    if (found) return found;
    if (this.#marks.size >= MARKS_MAX) this.#forget();
    const mark = { under: 0, at: 0 };
    this.#marks.set(node, mark);
    return mark;
  }

  #forget(): void {
    this.#floor = ++this.#moment;
    for (const [node, { under }] of this.#marks) if (!under) this.#marks.delete(node);
  }
}
