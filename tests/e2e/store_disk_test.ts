import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { must } from "tests/e2e/process.ts";

/** What a daemon's store does on the failing disk "$DISK", until "$FILLER" is removed. */
const PROGRAM = `
import { openStore } from "mgmt/store/open_store.ts";
import { testEnv } from "tests/fakes/node.ts";
const disk = Deno.env.get("DISK")!, filler = Deno.env.get("FILLER")!;
const told = [];
const store = openStore(disk + "/home", testEnv());
const put = (text) => store.transact((t) => Promise.resolve(t.put("task/1", text)));
await put("before");
new Deno.Command("sync").outputSync();
using file = Deno.openSync(filler, { write: true, create: true });
try {
  for (;;) file.writeSync(new Uint8Array(4096));
} catch { /* It is full now. */ }
for (const text of ["a", "b"]) {
  await put(text.repeat(3_000_000)).catch((error) => told.push(error.name + ": " + error.message));
}
told.push(await store.get("task/1"));
Deno.removeSync(filler);
file.truncateSync();
await put("after");
await store.close();
const again = openStore(disk + "/home", testEnv());
told.push(await again.get("task/1"));
await again.close();
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(told)));
`;

// The disk is a loop device on a sparse file that cannot grow once its file system is full: then
// the kernel answers fsync with EIO, as for a disk that takes no more writes.
const SCRIPT = `
set -eu
mkdir "$PLACE/below" "$PLACE/disk"
mount -t tmpfs -o size=12m store-test "$PLACE/below"
truncate -s 64m "$PLACE/below/image"
mkfs.ext4 -q -O ^has_journal "$PLACE/below/image"
loop=$(losetup -f --show "$PLACE/below/image")
trap 'umount -l "$PLACE/disk" || true; losetup -d $loop' EXIT
mount $loop "$PLACE/disk"
DISK="$PLACE/disk" FILLER="$PLACE/below/filler" "$DENO" eval --ext=ts "$PROGRAM"
`;

e2e("mgmt/store: a disk that fails to write changes nothing, and its store works again after it", [
  "mkfs.ext4",
  "losetup",
], async () => {
  const place = await Deno.makeTempDir({ prefix: "mt-disk-" });
  try {
    const told = await must(
      ["unshare", "--mount", "--propagation", "private", "bash", "-c", SCRIPT],
      { env: { PLACE: place, PROGRAM, DENO: Deno.execPath() } },
    );
    const failure =
      `StoreError: Cannot write to the store "${place}/disk/home/records.sqlite": the ` +
      "disk fails to read or write; look at the kernel's log, replace the disk";
    deepEqual(JSON.parse(told), [failure, failure, "before", "after"]);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
