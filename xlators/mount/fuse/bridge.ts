/**
 * Requests of the kernel become fops on the layer below, and their replies answers. What a request
 * is made into stands in one function each, in the files beside this one, found by operation.
 */

import { type Call, type Client, type LkOwner, NO_OWNER } from "core/call.ts";
import type { Env } from "core/env.ts";
import { EIO, EOPNOTSUPP, FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import type { InodeTable } from "core/inode.ts";
import { NewGfids } from "core/new_gfids.ts";
import type { Xlator } from "core/xlator.ts";
import { type Change, Changes } from "xlators/mount/fuse/changes.ts";
import { Groups } from "xlators/mount/fuse/groups.ts";
import { Handles } from "xlators/mount/fuse/handles.ts";
import { type Node, Nodes } from "xlators/mount/fuse/nodes.ts";
import type { FuseValues } from "xlators/mount/fuse/options.ts";
import { OPERATIONS } from "xlators/mount/fuse/operations.ts";
import { OP } from "xlators/mount/fuse/protocol.ts";
import {
  invalidation,
  type Notify,
  Replier,
  type Send,
  type Validity,
} from "xlators/mount/fuse/reply.ts";
import { Request, type RequestBytes } from "xlators/mount/fuse/request.ts";

const ENOSYS = 38;
/** How many times `lru-limit` the kernel may know before listings tell it of nothing more. */
const CROWD = 2;

/** What a bridge stands on. */
export interface BridgeParts {
  /** Where fops go. */
  readonly top: Xlator;
  readonly inodes: InodeTable;
  readonly env: Env;
  readonly values: FuseValues;
  /** Where answers go. */
  readonly send: Send;
  readonly notify: Notify;
  /** The kernel knows more than `lru-limit`. */
  readonly crowded: () => void;
}

/** See the head of this file. */
export class Bridge {
  readonly top: Xlator;
  readonly inodes: InodeTable;
  readonly env: Env;
  readonly nodes: Nodes;
  readonly handles = new Handles();
  readonly changes = new Changes();
  readonly newGfids: NewGfids;
  readonly reply: Replier;
  values: FuseValues;
  validity: Validity;
  /** Whether files that are read and written past the page cache can be mapped and shared. */
  mapsDirect = false;
  /** Whether the kernel can be told to forget what is not in use by numbers of nodes. */
  prunes = false;
  /** Requests that wait for a lock, by their numbers: what gives each of them up. */
  readonly waiting = new Map<number, AbortController>();
  /** Waits that were given up and may still be granted, by node and owner. */
  readonly abandoned = new Map<string, object>();
  readonly #notify: Notify;
  readonly #crowded: () => void;
  readonly #groups: Groups;
  readonly #initialized = Promise.withResolvers<void>();
  readonly #client: Client = { id: "mount", address: "" };
  #calls = 0;
  #underWay = 0;

  constructor({ top, inodes, env, values, send, notify, crowded }: BridgeParts) {
    this.top = top;
    this.inodes = inodes;
    this.env = env;
    this.newGfids = new NewGfids(env.random);
    this.values = values;
    this.validity = validityOf(values);
    this.nodes = new Nodes(inodes.root);
    this.reply = new Replier(send);
    this.#notify = notify;
    this.#crowded = crowded;
    this.#groups = new Groups(env.clock, () => this.values["gid-timeout"]);
  }

  /** Resolves when the kernel and we agreed on what is spoken. */
  get initialized(): Promise<void> {
    return this.#initialized.promise;
  }

  /** They did. */
  agreed(): void {
    this.#initialized.resolve();
  }

  /** Takes new options over; those that INIT agreed on stay. */
  reconfigure(values: FuseValues): void {
    this.values = values;
    this.validity = validityOf(values);
  }

  /** Requests without an answer yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Requests that came. */
  get calls(): number {
    return this.#calls;
  }

  /**
   * Serves the request of `size` bytes at `at`. Answers a promise if its bytes are still needed,
   * which only those of a write are: until that settles.
   */
  serve(from: RequestBytes, at: number, size: number): Promise<void> | undefined {
    const request = new Request(from, at, size);
    const operation = OPERATIONS.get(request.opcode);
    if (!operation) {
      // The kernel does not ask again.
      this.reply.failed(request.unique, ENOSYS);
      return undefined;
    }
    this.#calls++;
    this.#underWay++;
    let answer: Promise<unknown> | void = undefined, change: Change | undefined;
    try {
      change = this.changes.begin(request);
      answer = operation(this, request);
    } catch (error) {
      this.#failed(request, error);
    }
    if (!answer) {
      this.#ended(change);
      return undefined;
    }
    const done = answer.catch((error) => this.#failed(request, error)).then(() =>
      this.#ended(change)
    );
    return request.opcode === OP.WRITE ? done : undefined;
  }

  #ended(change: Change | undefined): void {
    this.#underWay--;
    if (change) this.changes.end(change);
  }

  // What is no failure of a fop is our bug: logged, and the application must not wait for ever.
  #failed(request: Request, error: unknown): void {
    let failure = error;
    if (!(failure instanceof FopError)) {
      const text = error instanceof Error ? error.stack ?? error.message : String(error);
      this.env.log.error("request failed by a mistake in this program", {
        operation: nameOf(request.opcode),
        error: text,
      });
      failure = EIO;
    }
    const { errno } = failure as FopError;
    // To the kernel it means: never ask for this operation again.
    this.reply.failed(request.unique, errno === ENOSYS ? EOPNOTSUPP.errno : errno);
  }

  /** Who asks; `owner`: as which owner of locks. */
  call({ uid, gid, pid, unique }: Request, owner: LkOwner = NO_OWNER): Call {
    const own = this.values["client-pid"];
    return {
      client: this.#client,
      uid,
      gid,
      groups: this.#groups.of(pid, uid, gid),
      pid: own === 0 ? pid : own,
      lkOwner: owner,
      deadline: Infinity,
      id: unique,
    };
  }

  /**
   * Resolves when the kernel has dropped what it cached of a node. It waits for pages that are being
   * read or written, which needs us: never ask for it where a request of ours has to be done first.
   */
  async dropCached({ id }: Node): Promise<void> {
    await this.#notify(invalidation(id));
  }

  /** The node of what a reply told of: what `name` stands for in the directory of node `parent`. */
  tell(stat: Iatt, parent: number, name: string): Node {
    const node = this.nodes.tell(this.inodes.of(stat.gfid), parent, isDirectory(stat) ? "" : name);
    if (this.nodes.isCrowded(this.#limit)) this.#crowded();
    return node;
  }

  /** False while the kernel knows far too much: listings tell it of nothing more. */
  get mayTellMore(): boolean {
    return this.nodes.size < CROWD * this.#limit;
  }

  get #limit(): number {
    return this.values["lru-limit"] || Infinity;
  }

  /** Others changed what an event of the graph tells of. */
  heard(event: GraphEvent): void {
    if (event.type !== "cache-invalidation") return;
    for (const gfid of [event.gfid, event.parent?.gfid, event.oldParent?.gfid]) {
      const node = gfid && this.nodes.known(this.inodes.of(gfid));
      if (node) this.changes.note(node.id);
    }
  }

  /** What the kernel knows by another name has `name` in the directory of node `parent` now. */
  moved(stat: Iatt | undefined, parent: number, name: string): void {
    const node = stat && this.nodes.known(this.inodes.of(stat.gfid));
    if (!node || isDirectory(stat)) return;
    node.parent = parent;
    node.name = name;
  }

  /** Takes back that the kernel was told of `node`, if it did not hear the answer. */
  untold(node: Node, sent: number): void {
    if (sent < 0) this.nodes.forget(node.id, 1);
  }

  /** Answers the node and attributes of `name` in the directory that `request` is about. */
  entry({ unique, nodeid }: Request, name: string, stat: Iatt): void {
    const node = this.tell(stat, nodeid, name);
    this.untold(node, this.reply.entry(unique, node.id, stat, this.validity));
  }
}

function validityOf(values: FuseValues): Validity {
  return {
    entry: values["entry-timeout"],
    attributes: values["attribute-timeout"],
    missing: values["negative-timeout"],
    ino32: values["enable-ino32"],
  };
}

function nameOf(opcode: number): string {
  return Object.entries(OP).find(([, number]) => number === opcode)?.[0] ?? String(opcode);
}
