/**
 * What the kernel was told may not hold any more: it is told so. Each word is one write, on another
 * thread: the kernel may have to wait for a directory that somebody is at work in, who waits for us.
 * Each holds a thread, so there are few at once. One would be too slow: a name goes when nobody looks one
 * up in its directory, and all that wait for that moment go in it.
 *
 * What nobody uses a kernel from 7.45 on forgets when it is told to, in one word. An older one forgets
 * what loses its name; names of directories are left to it, as something may be mounted there, which it
 * would take off.
 *
 * Attributes are enough for files: with `auto-invalidation` the kernel drops cached data itself when
 * it sees another size or time.
 */

import type { Env } from "core/env.ts";
import { fopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import type { Gfid, InodeTable } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { type Node, type Nodes } from "xlators/mount/fuse/nodes.ts";
import { NOTIFY, OUT_HEADER } from "xlators/mount/fuse/protocol.ts";
import { putU64, type Validity } from "xlators/mount/fuse/reply.ts";

const INVAL_INODE_OUT = 24, INVAL_ENTRY_OUT = 16, PRUNE_OUT = 16;
/** Words that are written at once. */
const AT_ONCE = 8;
/** What lasts no longer than this is left to end by itself if there is much of it. */
const SHORT_SEC = 1;
/** The kernel knows nothing of it, has it in use, or the mount is gone: nothing is left to do. */
const HARMLESS: ReadonlySet<number> = new Set([-2, -19, -20, -39, -107]);

/** What an invalidator works with. */
export interface InvalidatorParts {
  readonly nodes: Nodes;
  readonly inodes: InodeTable;
  readonly env: Env;
  /** How long the kernel relies on what it is told. */
  readonly validity: () => Validity;
  /** Of how many inodes it shall know at most; 0: of any number. */
  readonly limit: () => number;
  /** Whether the kernel can be told to forget by numbers of nodes. */
  readonly prunes: () => boolean;
  /** Writes to the device on another thread; answers what `write` answered. */
  readonly write: (bytes: Uint8Array<ArrayBuffer>, size: number) => Promise<number>;
}

/** See the head of this file. */
export class Invalidator {
  readonly #parts: InvalidatorParts;
  /** Nodes whose attributes do not hold. */
  readonly #attributes = new Set<number>();
  /** Names that do not hold, by the node of their directory. */
  readonly #names = new Map<number, Set<string>>();
  readonly #writing = new Set<Promise<void>>();
  #stopped = false;

  constructor(parts: InvalidatorParts) {
    this.#parts = parts;
  }

  /** An event of the graph below. */
  hear(event: GraphEvent): void {
    const { nodes, validity } = this.#parts;
    switch (event.type) {
      case "cache-invalidation":
        for (const gfid of new Set([event.gfid, event.parent?.gfid, event.oldParent?.gfid])) {
          const id = gfid && this.#idOf(gfid);
          if (id) this.#attributes.add(id);
        }
        break;
      case "names-doubted": {
        const id = this.#idOf(event.parent);
        if (!id || validity().entry <= SHORT_SEC) return;
        for (const name of event.names) this.#doubt(id, name);
        break;
      }
      case "child-up":
      case "child-down":
      case "some-down":
        // What changed meanwhile, nobody told us.
        if (validity().attributes <= SHORT_SEC) return;
        for (const id of nodes.ids()) this.#attributes.add(id);
        break;
      default:
        return;
    }
    this.#work();
  }

  /** The kernel knows too much: it is to forget what is not in use. */
  crowded(): void {
    this.#work();
  }

  /** Nothing is written any more once this resolves. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writing);
  }

  #doubt(parent: number, name: string): void {
    const names = this.#names.get(parent);
    if (names) names.add(name);
    else this.#names.set(parent, new Set([name]));
  }

  #idOf(gfid: Gfid): number | undefined {
    const { nodes, inodes } = this.#parts;
    return nodes.known(inodes.of(gfid))?.id;
  }

  #work(): void {
    while (this.#writing.size < AT_ONCE && !this.#stopped) {
      const message = this.#next();
      if (!message) return;
      const done = this.#write(message).then(() => {
        this.#writing.delete(done);
        this.#work();
      });
      this.#writing.add(done);
    }
  }

  async #write(message: Uint8Array<ArrayBuffer>): Promise<void> {
    const written = await this.#parts.write(message, message.length);
    if (written < 0 && !HARMLESS.has(written)) {
      this.#parts.env.log.warn("kernel did not take back what it was told", {
        why: fopError(written).code,
      });
    }
  }

  #next(): Uint8Array<ArrayBuffer> | undefined {
    for (const id of this.#attributes) {
      this.#attributes.delete(id);
      return attributesGone(id);
    }
    for (const [id, names] of this.#names) {
      for (const name of names) {
        names.delete(name);
        if (!names.size) this.#names.delete(id);
        return nameGone(id, name);
      }
    }
    return this.#forgetting();
  }

  // What makes the kernel forget what is not in use, if it knows too much.
  #forgetting(): Uint8Array<ArrayBuffer> | undefined {
    const { nodes, limit, prunes } = this.#parts;
    const most = limit() || Infinity;
    if (!nodes.isCrowded(most)) return undefined;
    const unused = nodes.takeBack(most >> 2);
    if (prunes()) return unused.length ? prune(unused) : undefined;
    for (const { parent, name } of unused) if (name !== "") this.#doubt(parent, name);
    return this.#names.size ? this.#next() : undefined;
  }
}

function message(code: number, size: number): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(OUT_HEADER + size));
  view.setUint32(0, OUT_HEADER + size, true);
  view.setInt32(4, code, true);
  return view;
}

// An offset below 0: only attributes.
function attributesGone(id: number): Uint8Array<ArrayBuffer> {
  const view = message(NOTIFY.INVAL_INODE, INVAL_INODE_OUT);
  putU64(view, OUT_HEADER, id);
  view.setBigInt64(OUT_HEADER + 8, -1n, true);
  return new Uint8Array(view.buffer);
}

function nameGone(id: number, name: string): Uint8Array<ArrayBuffer> {
  const encoded = encodeName(name);
  const view = message(NOTIFY.INVAL_ENTRY, INVAL_ENTRY_OUT + encoded.length + 1);
  putU64(view, OUT_HEADER, id);
  view.setUint32(OUT_HEADER + 8, encoded.length, true);
  const bytes = new Uint8Array(view.buffer);
  bytes.set(encoded, OUT_HEADER + INVAL_ENTRY_OUT);
  return bytes;
}

function prune(nodes: readonly Node[]): Uint8Array<ArrayBuffer> {
  const view = message(NOTIFY.PRUNE, PRUNE_OUT + 8 * nodes.length);
  view.setUint32(OUT_HEADER, nodes.length, true);
  nodes.forEach(({ id }, i) => putU64(view, OUT_HEADER + PRUNE_OUT + 8 * i, id));
  return new Uint8Array(view.buffer);
}
