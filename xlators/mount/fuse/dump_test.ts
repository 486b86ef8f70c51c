import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { realClock } from "core/env.ts";
import { toHex } from "core/lib/bytes.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { Dump } from "xlators/mount/fuse/dump.ts";

/** The first message that GlusterFS 10.3's client kept: `glusterfs --dump-fuse=FILE`. */
const CAPTURED = "5203000000100000" + "00e91c046b000000" + "008d725c190c0000" +
  "00474c5553544552f5";
const SECOND = 0x6b041ce9, NANOSECOND = 0x195c728d;

const text = (bytes: Uint8Array<ArrayBuffer>) => new DataView(bytes.buffer);

Deno.test("mount/fuse: what is kept of the kernel's talk is as GlusterFS keeps it", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "of a mount before");
    const clock = { ...realClock, now: () => SECOND * 1000 + NANOSECOND / 1e6 };
    const dump = await Dump.begin(path, testEnv({ clock }));
    dump.received(Uint8Array.of(4, 0, 0, 0));
    const sent: number[] = [];
    const send = dump.keeping((bytes, size) => sent.push(bytes.length) && size > 4 ? -2 : size);
    deepEqual([send(Uint8Array.of(4, 0, 0, 0, 9), 4), send(Uint8Array.of(5, 0, 0, 0, 9), 5)], [
      4,
      -2,
    ]);
    equal(await dump.keepingAsync(() => Promise.resolve(4))(Uint8Array.of(4, 0, 0, 1), 4), 4);
    dump.close();
    const found = await Deno.readFile(path);
    deepEqual([found.length, sent], [3 * (33 + 4), [5, 5]]);
    const nanoseconds = text(found).getUint32(17, true);
    // A clock of milliseconds in floating point is right to some 200 ns.
    ok(Math.abs(nanoseconds - NANOSECOND) < 1000, `${nanoseconds}`);
    text(found).setUint32(17, NANOSECOND, true);
    equal(toHex(found.subarray(0, 33)), CAPTURED);
    const ways = [0, 37, 74].map((at) => String.fromCharCode(found[at]!)).join("");
    deepEqual([ways, [...found.subarray(107)]], ["RWW", [4, 0, 0, 1]]);
    equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("mount/fuse: a file that takes no more ends what is kept and not the mount", async () => {
  const log = new LinesLog(), env = testEnv({ log });
  await rejects(
    Dump.begin("/nowhere/dump", env),
    /Cannot keep requests in "\/nowhere\/dump": ENOENT/,
  );
  const path = await Deno.makeTempFile();
  const dump = await Dump.begin(path, env);
  await Deno.remove(path);
  dump.close();
  dump.received(new Uint8Array(4));
  dump.received(new Uint8Array(4));
  deepEqual(log.lines.length, 1);
  ok(log.lines[0]!.startsWith("E requests are not kept any more"), log.lines[0]);
});
