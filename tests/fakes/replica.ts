/** Copies in memory, each a brick with locks that a test can take away, and a replicate layer over them. */

import type { Call } from "core/call.ts";
import { windCarrying } from "core/carried_locks.ts";
import { type Env } from "core/env.ts";
import { ENOTCONN } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Uniform, type Xlator } from "core/xlator.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { options } from "xlators/cluster/replicate/options.ts";
import { Replicate } from "xlators/cluster/replicate/replicate.ts";
import { arbiter } from "xlators/features/arbiter/arbiter.ts";
import { locks } from "xlators/features/locks/locks.ts";

/** What a test does to a fop on its way to a copy: "lost" does it and loses the answer. */
export type Fate = "pass" | "fail" | "lost" | Error;

/** The connection to one copy. */
export class FakeLink extends Uniform {
  up = true;
  /** Nothing that the brick tells by itself arrives. */
  deaf = false;
  /** Fops that arrived, in order. */
  readonly seen: { fop: FopName; args: unknown }[] = [];
  /** The brick takes locks that come along, and says so when it comes up. */
  carries = false;
  /** Decides about each fop; `pass` if absent. */
  fate: ((fop: FopName, args: unknown) => Fate | Promise<Fate>) | undefined;

  protected async around<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    if (!this.up) throw ENOTCONN;
    this.seen.push({ fop, args });
    const fate = await this.fate?.(fop, args) ?? "pass";
    if (fate instanceof Error) throw fate;
    if (fate === "fail" || !this.up) throw ENOTCONN;
    const reply = this.carries
      ? await windCarrying(this.child, fop, call, args)
      : await this.wind(fop, call, args);
    if (fate === "lost" || !this.up) throw ENOTCONN;
    return reply;
  }

  protected override heard(event: GraphEvent, from: Xlator): void {
    if (!this.deaf) super.heard(event, from);
  }

  /** The brick tells something by itself. */
  tell(event: GraphEvent): void {
    this.emit(event);
  }

  /** From now on nothing reaches the copy, and replicate is told; or all does again. */
  turn(up: boolean): void {
    this.up = up;
    this.emit(up ? { type: "child-up", carriesLocks: this.carries } : { type: "child-down" });
  }
}

/** A replica in memory. */
export interface Replica {
  readonly top: Replicate;
  readonly links: readonly FakeLink[];
  readonly bricks: readonly MemoryBrick[];
  readonly inodes: InodeTable;
}

/** How many copies, and what replicate is told. */
export interface ReplicaOptions {
  readonly copies?: number;
  readonly arbiter?: boolean;
  readonly values?: Readonly<Record<string, string>>;
  readonly env?: Env;
  /** All bricks take locks that come along with other requests. */
  readonly carries?: boolean;
}

/** Makes and starts one. */
export async function replica(given: ReplicaOptions = {}): Promise<Replica> {
  const { copies = 3, env = testEnv(), values = {} } = given;
  const inodes = new InodeTable();
  const bricks = Array.from(
    { length: copies },
    (_, index) => new MemoryBrick(node(`memory-${index}`, [], { inodes, env })),
  );
  const links = bricks.map((brick, index) => {
    const isArbiter = given.arbiter && index === copies - 1;
    const stored = isArbiter
      ? arbiter.create(node("arbiter", [brick], { inodes, env }), {})
      : brick;
    const place = node(`locks-${index}`, [stored], { inodes, env });
    const locked = locks.create(place, readOptions(locks.options, new Map()));
    return new FakeLink(node(`v-client-${index}`, [locked], { inodes, env }));
  });
  const top = over(
    links,
    {
      ...given.arbiter ? { "arbiter-count": "1" } : {},
      ...values,
    },
    inodes,
    env,
  );
  await top.start();
  if (given.carries) {
    for (const link of links) {
      link.carries = true;
      link.turn(true);
    }
  }
  return { top, links, bricks, inodes };
}

/** A replicate layer over `links`; a second one is a second client. */
export function over(
  links: readonly FakeLink[],
  values: Readonly<Record<string, string>>,
  inodes: InodeTable,
  env: Env,
): Replicate {
  const all = {
    "afr-pending-xattr": links.map(({ name }) => name).join(","),
    "choose-local": "off",
    ...values,
  };
  const place = node("v-replicate-0", links, { inodes, env });
  return new Replicate(place, readOptions(options, new Map(Object.entries(all))));
}
