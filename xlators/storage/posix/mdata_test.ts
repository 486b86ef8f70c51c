import { strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { type Gfid, InodeTable } from "core/inode.ts";
import { CTIME, MTIME, Times } from "xlators/storage/posix/mdata.ts";
import type { XattrSpace } from "xlators/storage/posix/xattr_space.ts";

const FILE = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;

Deno.test("storage/posix: times that a file has already are not stored again", () => {
  let stored = 0;
  const bytes = new Uint8Array(64);
  const xattrs = {
    bytes,
    read: () => stored ? 57 : -61,
    set: (_file: unknown, _name: unknown, value: Uint8Array) => {
      stored++;
      bytes.set(value);
      return 0;
    },
  } as unknown as XattrSpace;
  const times = new Times(xattrs, new InodeTable(), true);
  const write = (sec: number, nsec: number, which = CTIME | MTIME) => {
    times.touch({ ...ROOT, ctime: { sec, nsec } }, FILE, 3, which);
  };
  write(1000, 5);
  equal(stored, 1);
  write(1000, 5);
  // A client whose clock is behind.
  write(999, 7);
  equal(stored, 1);
  write(1000, 6, CTIME);
  equal(stored, 2);
  write(1000, 6);
  equal(stored, 3);
  equal(times.of(FILE, 3)!.mtime.nsec, 6);
  // What a restart finds is the same.
  times.forget(FILE);
  equal(times.of(FILE, 3)!.mtime.nsec, 6);
  write(1000, 6);
  equal(stored, 3);
});
