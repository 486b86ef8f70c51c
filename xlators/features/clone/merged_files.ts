/**
 * What a clone's brick has, for another process that clones it in turn: what came here, and what
 * would come from the origin. Nothing is changed. The brick's own process may bring more up
 * meanwhile; what it brings up is what the origin has, so only halves must not be taken for it.
 */

import type { NameIn } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { ROOT_GFID } from "core/inode.ts";
import type { OpenFile } from "core/sys/open_file.ts";
import type { BrickFiles } from "snapshot/brick_files.ts";
import type { Entry, InodeState, Live } from "snapshot/engine/live.ts";
import type { LookedAt } from "snapshot/engine/looked_at.ts";
import { packState } from "snapshot/engine/state.ts";
import { equalBytes } from "core/lib/bytes.ts";
import type { Marks } from "xlators/features/clone/marks.ts";

/** See the head of this file. Methods throw FopError. */
export class MergedFiles implements Live {
  readonly #upper: BrickFiles;
  readonly #origin: LookedAt;
  readonly #marks: Marks;

  constructor(upper: BrickFiles, origin: LookedAt, marks: Marks) {
    this.#upper = upper;
    this.#origin = origin;
    this.#marks = marks;
  }

  async inode(gfid: Gfid): Promise<InodeState | undefined> {
    if (gfid === ROOT_GFID && !this.#marks.isBegun) return await this.#origin.inode(gfid);
    for (;;) {
      const found = await this.#upper.inode(gfid);
      if (!found || this.#marks.arriving()?.gfid === gfid) return await this.#origin.inode(gfid);
      // Half of it may have been there, before that was noted as over.
      const again = await this.#upper.inode(gfid);
      if (again && equalBytes(packState(found), packState(again))) return again;
    }
  }

  async entry(parent: Gfid, name: string): Promise<Entry | undefined> {
    const found = await this.#upper.entry(parent, name);
    if (found) return found;
    if (!this.#marks.isWhole(parent) && !this.#marks.isGone(parent, name)) {
      const below = await this.#origin.view.entry(parent, name);
      if (below) return below;
    }
    // It may have come here meanwhile.
    return await this.#upper.entry(parent, name);
  }

  async entries(parent: Gfid): Promise<Entry[]> {
    if (this.#marks.isWhole(parent)) return await this.#upper.entries(parent);
    const below = (await this.#origin.view.entries(parent))
      .filter(({ name }) => !this.#marks.isGone(parent, name));
    const names = new Map(below.map((entry) => [entry.name, entry]));
    for (const entry of await this.#upper.entries(parent)) names.set(entry.name, entry);
    // Names that are gone were forgotten then.
    return this.#marks.isWhole(parent) ? await this.entries(parent) : [...names.values()];
  }

  async names(gfid: Gfid): Promise<readonly NameIn[]> {
    const names = await this.#upper.names(gfid);
    return names.length ? names : await this.#origin.view.names(gfid);
  }

  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    return this.#upper.read(gfid, offset, into);
  }

  nextData(gfid: Gfid, offset: number): number | undefined {
    return this.#upper.nextData(gfid, offset);
  }

  nextHole(gfid: Gfid, offset: number): number {
    return this.#upper.nextHole(gfid, offset);
  }

  open(gfid: Gfid): OpenFile | undefined {
    return this.#upper.open(gfid);
  }

  hasName(gfid: Gfid, path: string): boolean {
    return this.#upper.hasName(gfid, path);
  }
}
