/** All fops against bytes captured from GlusterFS 10.3 (scripts/capture_fops.ts says how). */

import assert from "node:assert/strict";
import { FopError } from "core/errno.ts";
import { type Args, FOP_NAMES, type FopName, FOPS, type Reply } from "core/fops.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { fopOf, WIRES } from "rpc/programs/gfx.ts";
import type { Wire } from "rpc/wire.ts";
import { XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";
import { DECLARED } from "tests/interop/gfx_declared.ts";
import { AnyPeer } from "tests/interop/gfx_peer.ts";

interface Golden {
  readonly fop: FopName;
  readonly from: "client" | "encoder";
  readonly how: string;
  readonly request: string;
  readonly reply: string;
}

const GOLDENS: readonly Golden[] = JSON.parse(
  Deno.readTextFileSync(new URL("gfx_golden.json", import.meta.url)),
);

function label(golden: Golden): string {
  return `${golden.fop} (${golden.how})`;
}

function wireOf(fop: FopName): Wire<FopName> {
  return WIRES[fop] as unknown as Wire<FopName>;
}

function readArgs(golden: Golden, peer: AnyPeer, bytes = fromHex(golden.request)): Args<FopName> {
  return wireOf(golden.fop).args(new XdrReader(bytes), peer);
}

function writeArgs(fop: FopName, args: Args<FopName>, peer: AnyPeer): Uint8Array {
  const to = new XdrWriter(16);
  wireOf(fop).request(to, args, peer);
  const { payload } = wireOf(fop);
  if (payload) to.raw(payload(args));
  return to.written;
}

function readReply(golden: Golden, peer: AnyPeer, bytes = fromHex(golden.reply)): Reply<FopName> {
  return wireOf(golden.fop).reply(new XdrReader(bytes), argsFor(golden, peer), peer);
}

/** The request's args, or for one that our reader refuses, something to stand for them. */
function argsFor(golden: Golden, peer: AnyPeer): Args<FopName> {
  try {
    return readArgs(golden, peer);
  } catch (err) {
    assert.ok(err instanceof FopError);
    return { data: new Uint8Array(10), size: 10, offset: 0 } as never;
  }
}

/** The reply as our server would write it. */
function rewritten(golden: Golden): Uint8Array {
  const peer = new AnyPeer();
  const to = new XdrWriter(16);
  const wire = wireOf(golden.fop);
  const args = argsFor(golden, peer);
  try {
    const reply = wire.reply(new XdrReader(fromHex(golden.reply)), args, peer);
    wire.answer(to, reply, args, peer);
    if (wire.bulk) to.raw(wire.bulk(reply));
  } catch (err) {
    if (!(err instanceof FopError)) throw err;
    wire.failure(to, err);
  }
  return to.written;
}

/**
 * Throws unless `ours` are the bytes of `theirs`, where GlusterFS's "an empty dictionary" may be our
 * "no dictionary": both mean the same, and a request's decides which a C brick answers with.
 */
function sameBytes(theirs: Uint8Array, ours: Uint8Array, what: string): void {
  const words = (bytes: Uint8Array) => toHex(bytes).match(/.{1,8}/g) ?? [];
  const a = words(theirs), b = words(ours);
  for (let i = 1; i < a.length; i++) {
    const empty = a[i] === "00000000" && b[i] === "ffffffff";
    if (empty && a[i - 1] === "00000000" && a[i + 1] === "00000000") b[i] = a[i]!;
  }
  assert.equal(b.join(" "), a.join(" "), what);
}

// Requests that mean the same in other bytes: SETATTR's attributes that do not count (stale ones,
// sizes, "now" beside the time), and offsets beyond all files, which become one that still is.
function changesBytes({ fop, how }: Golden): boolean {
  return fop === "setattr" || fop === "fsetattr" || /(at|from) 2\^(53|62)$/.test(how) ||
    how.endsWith('lookup of "."');
}

Deno.test("rpc/programs/gfx: every request of GlusterFS's is read and written back as it was", () => {
  for (const golden of GOLDENS) {
    const peer = new AnyPeer();
    let args;
    try {
      args = readArgs(golden, peer);
    } catch (err) {
      // What our reader refuses, the brick refused too, with that number.
      assert.ok(err instanceof FopError, label(golden));
      const errno = new XdrReader(fromHex(golden.reply).subarray(4)).i32();
      if (!golden.how.endsWith('lookup of ".."')) assert.equal(err.errno, errno, label(golden));
      continue;
    }
    const again = writeArgs(golden.fop, args, peer);
    if (changesBytes(golden)) {
      assert.deepEqual(readArgs(golden, peer, again.slice() as never), args, label(golden));
    } else {
      sameBytes(fromHex(golden.request), again, label(golden));
    }
  }
});

// Replies that mean the same in other bytes.
function differs({ fop, how, reply }: Golden): string | undefined {
  if (fop === "readdirp" && how.endsWith("ls -l")) {
    return "attributes without a gfid, of the root's parent, are left out";
  }
  if (fop === "lease" && reply.startsWith("ffffffff")) {
    return "a failed lease is repeated, nobody reads it";
  }
}

Deno.test("rpc/programs/gfx: every reply of GlusterFS's is read and answered as it was", () => {
  for (const golden of GOLDENS) {
    if (differs(golden)) continue;
    const theirs = fromHex(golden.reply), ours = rewritten(golden);
    const marksEnd = ["readv", "readdir", "readdirp"].includes(golden.fop);
    if (theirs[0] === 0 && !marksEnd) theirs.set(ours.subarray(4, 8), 4); // a leaked errno
    // What GETXATTR returns is the size of the value its brick looked at last.
    if (theirs[0] === 0 && golden.fop === "getxattr") theirs.set(ours.subarray(0, 4));
    if (theirs[0] === 0xff && golden.fop === "setactivelk") theirs[7] = 5; // -1 without an errno
    sameBytes(theirs, ours, label(golden));
  }
});

Deno.test("rpc/programs/gfx: replies whose bytes differ mean the same", () => {
  let count = 0;
  for (const golden of GOLDENS) {
    if (!differs(golden)) continue;
    const peer = new AnyPeer();
    const meaning = (bytes: Uint8Array<ArrayBuffer>) => {
      try {
        return readReply(golden, peer, bytes);
      } catch (err) {
        assert.ok(err instanceof FopError);
        return err.errno;
      }
    };
    assert.deepEqual(
      meaning(rewritten(golden).slice() as never),
      meaning(fromHex(golden.reply)),
      label(golden),
    );
    count++;
  }
  assert.ok(count > 0);
});

Deno.test("rpc/programs/gfx: bytes of all fops are as glusterfs4-xdr.x declares them", () => {
  for (const golden of GOLDENS) {
    const peer = new AnyPeer();
    const ours = [
      () => writeArgs(golden.fop, argsFor(golden, peer), peer),
      () => rewritten(golden),
    ];
    for (const [side, codec] of DECLARED[golden.fop].entries()) {
      for (const bytes of [fromHex(side ? golden.reply : golden.request), ours[side]!]) {
        let read: Uint8Array;
        try {
          read = typeof bytes === "function" ? bytes() : bytes;
        } catch {
          continue; // the args of a refused request are no args
        }
        const from = new XdrReader(read);
        const to = new XdrWriter();
        codec.write(to, codec.read(from));
        assert.equal(from.left, 0, label(golden));
        assert.equal(toHex(to.written), toHex(read), label(golden));
      }
    }
  }
});

Deno.test("rpc/programs/gfx: a dictionary's size is exact in all that is written", () => {
  const check = (value: unknown): void => {
    if (value === null || typeof value !== "object") return;
    if ("xdrSize" in value && "pairs" in value) {
      const to = new XdrWriter();
      const { pairs, xdrSize } = value as { pairs: unknown[]; xdrSize: number };
      (DECLARED.flush[0] as { write(to: XdrWriter, value: unknown): void }).write(to, {
        gfid: new Uint8Array(16),
        fd: 0n,
        xdata: { xdrSize, count: 0, pairs },
      });
      assert.equal(xdrSize, to.at - 36);
    }
    for (const inner of Object.values(value)) check(inner);
  };
  for (const golden of GOLDENS) {
    check(DECLARED[golden.fop][1].read(new XdrReader(rewritten(golden))));
  }
});

Deno.test("rpc/programs/gfx: every fop has bytes, but those that 10.3 cannot answer", () => {
  const missing = FOP_NAMES.filter((name) => !GOLDENS.some(({ fop }) => fop === name));
  assert.deepEqual(missing, ["namelink", "put"]);
  for (const name of FOP_NAMES) assert.equal(fopOf(FOPS[name].proc), name);
  for (const none of [0, 49, 57, 1000]) assert.equal(fopOf(none), undefined);
});

Deno.test("rpc/programs/gfx: a request or reply cut short anywhere is refused", () => {
  for (const golden of GOLDENS) {
    const peer = new AnyPeer();
    const args = argsFor(golden, peer);
    const request = fromHex(golden.request), reply = fromHex(golden.reply);
    const refused = refusal(() => readArgs(golden, peer));
    for (let size = 0; size < request.length; size++) {
      const cut = refusal(() => readArgs(golden, peer, request.slice(0, size)));
      if (refused) assert.ok(cut, label(golden));
      else assert.ok(cut instanceof XdrError, `${label(golden)} at ${size}: ${cut}`);
    }
    for (let size = 0; size < reply.length; size++) {
      const from = new XdrReader(reply.slice(0, size));
      const cut = refusal(() => wireOf(golden.fop).reply(from, args, peer));
      assert.ok(cut instanceof XdrError, `${label(golden)} at ${size}: ${cut}`);
    }
  }
});

/** What `run` throws: nothing, or one of the two that may be thrown. */
function refusal(run: () => unknown): XdrError | FopError | undefined {
  try {
    run();
  } catch (err) {
    if (err instanceof XdrError || err instanceof FopError) return err;
    throw err;
  }
}

/** A small seeded generator (mulberry32): whole numbers below `below`. */
function seeded(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let word = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return Math.floor((((word ^ (word >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

function mutated(bytes: Uint8Array, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice() as Uint8Array<ArrayBuffer>;
  for (let count = 1 + random(3); count > 0; count--) {
    const at = random(copy.length);
    switch (random(4)) {
      case 0:
        copy[at] = random(256);
        break;
      case 1:
        copy[at] = copy[at]! ^ (1 << random(8));
        break;
      case 2:
        copy.fill(EXTREMES[random(5)]!, at & ~3, (at & ~3) + 4);
        break;
      default:
        copy.copyWithin(at & ~3, random(copy.length) & ~3);
    }
  }
  return copy.subarray(0, random(8) ? copy.length : random(copy.length));
}

Deno.test("rpc/programs/gfx: bytes gone wrong are refused or read, and never anything else", () => {
  const random = seeded(20260131);
  for (let i = 0; i < 15_000; i++) {
    const golden = GOLDENS[random(GOLDENS.length)]!;
    const peer = new AnyPeer();
    const wire = wireOf(golden.fop);
    const wrong = `${label(golden)}, case ${i}`;
    try {
      refusal(() => {
        const args = readArgs(golden, peer, mutated(fromHex(golden.request), random));
        wire.request(new XdrWriter(), args, peer);
      });
      const args = argsFor(golden, peer);
      refusal(() => {
        const from = new XdrReader(mutated(fromHex(golden.reply), random));
        wire.answer(new XdrWriter(), wire.reply(from, args, peer), args, peer);
      });
    } catch (err) {
      assert.fail(`${wrong}: ${err instanceof Error ? err.stack : err}`);
    }
  }
});
