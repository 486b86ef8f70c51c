import { strictEqual as equal } from "node:assert/strict";
import { AT_FDCWD, cstring, sys } from "core/sys/calls.ts";
import { readCached } from "core/sys/cached_read.ts";

Deno.test("core/sys/cached_read: what is in the page cache is read, what is not there is not made up", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "0123456789");
  const fd = sys.openat(AT_FDCWD, cstring(path), 0, 0);
  try {
    const into = new Uint8Array(16);
    // A file system that cannot tell answers false, and the caller reads otherwise.
    if (readCached(fd, into.subarray(2, 6), 3)) {
      equal(new TextDecoder().decode(into), "\0\u00003456" + "\0".repeat(10));
    }
    equal(readCached(fd, into, 0), false);
    equal(readCached(-1, into, 0), false);
  } finally {
    sys.close(fd);
    await Deno.remove(path);
  }
});
