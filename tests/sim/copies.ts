/** Are the bricks of a replica equal, byte by byte and name by name? */

import { S_IFREG } from "core/iatt.ts";
import { ROOT_GFID } from "core/inode.ts";
import { toHex } from "core/lib/bytes.ts";
import type { SimBrick } from "tests/sim/brick.ts";
import { SimFailure } from "tests/sim/sim.ts";
import type { World } from "tests/sim/world.ts";
import type { MemoryNode } from "tests/fakes/memory_node.ts";
import { isPrivate } from "xlators/cluster/replicate/private_names.ts";

/** Attributes with which replication keeps its own books. */
const MARKS = /^trusted\.afr\./;

/** Throws if two bricks differ, or if a mark says that they may. */
export function checkCopies({ bricks }: World): void {
  const [first, ...others] = bricks.map((brick) => [brick.name, contents(brick)] as const);
  for (const [name, tree] of others) {
    const withData = !bricks.find((brick) => brick.name === name)!.options.arbiter;
    for (const path of new Set([...first![1].keys(), ...tree.keys()])) {
      const one = first![1].get(path), two = tree.get(path);
      const same = one && two && one.about === two.about && (!withData || one.data === two.data);
      if (!same) {
        throw new SimFailure(
          `${path} differs: ${first![0]} has ${shown(one)}, ${name} has ${shown(two)}`,
        );
      }
    }
  }
  for (const brick of bricks) {
    checkMarks(brick);
    checkNames(brick);
  }
}

// Every file has the names that can be seen, and nothing lies aside.
function checkNames(brick: SimBrick): void {
  const names = new Map<MemoryNode, number>();
  const visit = (node: MemoryNode) => {
    for (const [name, entry] of node.entries) {
      if (isPrivate({ gfid: node.gfid }, name)) {
        const [left] = entry.node.entries.keys();
        if (left) throw new SimFailure(`${left} is still aside on ${brick.name}`);
      } else if (entry.node.isDirectory) visit(entry.node);
      else names.set(entry.node, (names.get(entry.node) ?? 0) + 1);
    }
  };
  visit(brick.disk.nodes.get(ROOT_GFID)!);
  for (const node of brick.disk.nodes.values()) {
    const count = names.get(node) ?? 0;
    if (node.isDirectory || node.nlink === count) continue;
    throw new SimFailure(
      `${node.gfid} has ${node.nlink} names on ${brick.name}, seen are ${count}`,
    );
  }
}

interface Content {
  readonly about: string;
  readonly data: string;
}

function shown(content: Content | undefined): string {
  return content ? `${content.about} ${content.data}` : "nothing";
}

// Everything a client could see, by path.
function contents(brick: SimBrick): Map<string, Content> {
  const found = new Map<string, Content>();
  const visit = (path: string, node: MemoryNode) => {
    const xattrs = [...node.xattrs].filter(([name]) => !MARKS.test(name))
      .map(([name, value]) => `${name}=${toHex(value)}`).sort();
    const about = [node.gfid, node.mode.toString(8), node.uid, node.gid, ...xattrs].join(" ");
    const data = node.type === S_IFREG ? digest(node) : "";
    found.set(path, { about, data });
    for (const [name, entry] of node.entries) {
      if (!isPrivate({ gfid: node.gfid }, name)) visit(`${path}/${name}`, entry.node);
    }
  };
  visit("", brick.disk.nodes.get(ROOT_GFID)!);
  return found;
}

function digest(node: MemoryNode): string {
  const bytes = node.data.read(0, node.data.size);
  let hash = 0x811c9dc5;
  const words = bytes.length & ~3;
  for (const word of new Int32Array(bytes.buffer, 0, words / 4)) {
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  }
  for (const byte of bytes.subarray(words)) hash = Math.imul(hash ^ byte, 0x01000193);
  const stamps: number[] = [];
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 4 <= bytes.length; at += 4096) stamps.push(view.getUint32(at));
  return `${bytes.length} bytes ${stamps.join(",")} #${(hash >>> 0).toString(16)}`;
}

/** All marks of a brick that say something, one line each. */
export function marksOf(brick: SimBrick): string[] {
  return [...brick.disk.nodes.values()].flatMap((node) =>
    [...node.xattrs].filter(([name, value]) => MARKS.test(name) && value.some((byte) => byte !== 0))
      .map(([name, value]) => `${brick.name} has ${name}=${toHex(value)} on ${node.gfid}`)
  );
}

function checkMarks(brick: SimBrick): void {
  const [mark] = marksOf(brick);
  if (mark) throw new SimFailure(`a mark is left: ${mark}`);
  for (const kind of ["xattrop", "dirty"]) {
    const [left] = brick.disk.index.get(kind) ?? [];
    if (left) throw new SimFailure(`${brick.name} still lists ${left} under ${kind}`);
  }
}
