/** Random work on a brick in memory whose answers come late; every change gets a later time. */

import { ok } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { FopError } from "core/errno.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { type Fd, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Late } from "tests/fakes/late.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { readdirAhead } from "xlators/performance/readdir-ahead/readdir_ahead.ts";

const STEPS = 300, SIDE_BY_SIDE = 3, FILES = 12;

async function play(seed: number): Promise<void> {
  const below = seeded(seed);
  const inodes = new InodeTable(), { root } = inodes;
  let now = 1;
  const env = testEnv({ clock: { ...realClock, now: () => ++now * 1000 } });
  const brick = new MemoryBrick(node("memory", [], { inodes, env }));
  const late = new Late(node("late", [brick], { inodes, env }), below, 15);
  const option = { "rda-request-size": "4096", "rda-high-wmark": String(below(9000)) };
  const values = readOptions(readdirAhead.options, new Map(Object.entries(option)));
  const top = readdirAhead.create(node("rda", [late], { inodes, env }), values);
  /** The latest time that was seen, or done, by gfid. */
  const least = new Map<string, number>();
  const raise = (key: string, to: number) => least.set(key, Math.max(least.get(key) ?? 0, to));
  const seen = (before: ReadonlyMap<string, number>, { gfid, ctime }: Iatt) => {
    ok(ctime >= (before.get(gfid) ?? 0), `seen as of ${ctime}, before as of ${before.get(gfid)}`);
    raise(gfid, ctime);
  };
  const open: { fd: Fd; offset: bigint }[] = [];
  const made = (name: string) => ({
    parent: root,
    name,
    mode: S_IFREG | 0o644,
    umask: 0,
    rdev: 0,
    xdata: gfidReq(),
  });

  const list = async () => {
    if (open.length < 2) open.push({ ...await top.opendir(ROOT, { inode: root }), offset: 0n });
    const place = open[below(open.length)]!;
    const before = new Map(least);
    const args = { fd: place.fd, offset: place.offset, size: 300 + below(2000) };
    const { entries, eof } = await top.readdirp(ROOT, args);
    for (const { name, stat } of entries) {
      if (stat && name !== "." && name !== "..") seen(before, stat);
    }
    place.offset = eof ? 0n : entries.at(-1)?.offset ?? 0n;
    if (!eof || below(2)) return;
    const index = open.indexOf(place);
    if (index >= 0) await top.releasedir(ROOT, open.splice(index, 1)[0]!);
  };

  const act = async () => {
    const name = `n${below(FILES)}`, at = { parent: root, name };
    const what = below(32);
    if (what < 16) return await list();
    if (what === 16) return void await top.mknod(ROOT, made(name));
    const before = new Map(least);
    const { stat } = await top.lookup(ROOT, at);
    seen(before, stat);
    const begun = now;
    if (what === 17) return void await top.unlink(ROOT, { ...at, flags: 0 });
    if (what === 18) {
      await top.link(ROOT, { inode: inodes.of(stat.gfid), parent: root, name: `n${below(FILES)}` });
    } else {
      await top.setattr(ROOT, { inode: inodes.of(stat.gfid), changes: { mode: 0o600 } });
    }
    raise(stat.gfid, begun + 1);
  };

  for (let i = 0; i < FILES; i++) await top.mknod(ROOT, made(`n${i}`));
  for (let step = 0; step < STEPS; step += SIDE_BY_SIDE) {
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, () =>
      act().catch((error) => {
        if (!(error instanceof FopError)) throw error;
      })));
  }
}

Deno.test("readdir-ahead, seeded: one client's listings never show the past", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    await play(seed).catch((cause) => {
      throw new Error(`seed ${seed}`, { cause });
    });
  }
});
