/** A layer whose answers come late, so that fops cross. */

import type { Call, Client } from "core/call.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { type Node, Uniform } from "core/xlator.ts";

/** Every fop begins and ends fewer than `turnsMax` turns late; so do the brick's notices. */
export class Late extends Uniform {
  constructor(
    place: Node,
    protected readonly below: (below: number) => number,
    private readonly turnsMax: number,
  ) {
    super(place);
  }

  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    await this.turns();
    const reply = await this.wind(fop, call, args);
    await this.turns();
    return reply;
  }

  /** Lets some turns pass. */
  async turns(most = this.turnsMax): Promise<void> {
    for (let turns = this.below(most); turns > 0; turns--) await Promise.resolve();
  }

  /** Tells, some turns late, that a file is not what it was for `client`. */
  async tell(gfid: Gfid, client: Client, flags: number, most?: number): Promise<void> {
    await this.turns(most);
    this.emit({
      type: "cache-invalidation",
      clients: [client],
      gfid,
      flags,
      expireSec: 60,
      stat: undefined,
      parent: undefined,
      oldParent: undefined,
    });
  }
}
