/** Fops that few clients send: a graph may refuse them, but cleanly. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EINVAL, ENODATA, ENOSYS, EOPNOTSUPP, EPERM, FopError } from "core/errno.ts";
import type { LkOwner } from "core/call.ts";
import { type Cases, gfidReq, newGfid, Place } from "tests/conformance/place.ts";

// GF_IPC_TARGET_UPCALL.
const IPC_UPCALL = 2;

/** What `answer` answers; undefined if it is refused in one of the ways a layer may. */
async function perhaps<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const refusals = [EOPNOTSUPP, ENOSYS, EINVAL, ENODATA, EPERM];
    ok(error instanceof FopError && refusals.some((each) => each.matches(error)), String(error));
    return undefined;
  }
}

export const others: Cases = {
  async "ipc about cached attributes is answered or refused"(subject) {
    await perhaps(subject.top.ipc(subject.call, { op: IPC_UPCALL }));
  },

  async "ipc that nobody knows is refused or ignored"(subject) {
    await perhaps(subject.top.ipc(subject.call, { op: 4711 }));
  },

  async "a lease is granted or refused"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "keep");
    const lease = { cmd: 1, type: 0, id: "00".repeat(16), flags: 0 };
    await perhaps(place.ask("lease", { inode, lease }));
    equal(await place.content(inode), "keep");
  },

  async "a file without locks has none to move"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const reply = await perhaps(place.ask("getactivelk", { inode }));
    if (reply) deepEqual(reply.locks, []);
    await perhaps(place.ask("setactivelk", { inode, locks: [] }));
  },

  async "locks of a file that are moved to it are there, or refused"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const owner = "ab" as LkOwner;
    const lock = { type: "read", whence: 0, start: 0n, size: 5n, pid: 1, owner } as const;
    const locks = [{ lock, clientId: "client", flags: 0 }];
    if (!await perhaps(place.ask("setactivelk", { inode, locks }))) return;
    const reply = await perhaps(place.ask("getactivelk", { inode }));
    if (reply) ok(reply.locks.length <= 1);
  },

  async "icreate and namelink make a file, or nothing"(subject) {
    const place = await Place.of(subject);
    const inode = subject.inodes.of(newGfid());
    const xdata = gfidReq(inode.gfid);
    const made = await perhaps(place.ask("icreate", { inode, mode: 0o644, xdata }));
    if (!made) {
      await perhaps(place.ask("namelink", { parent: place.dir, name: "n", xdata }));
      return deepEqual(await place.names(), []);
    }
    equal(made.stat.gfid, inode.gfid);
    await place.ask("namelink", { parent: place.dir, name: "n", xdata });
    equal((await place.lookup("n")).stat.gfid, inode.gfid);
  },
};
