import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { mountLines, setReadAhead } from "xlators/mount/fuse/read_ahead.ts";

Deno.test("mount/fuse: the kernel's list of mounts tells devices, directories and types", () => {
  const text = [
    "22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw",
    "99 27 0:41 / /mnt/a\\040b\\134c rw,relatime shared:3 master:1 - fuse.mortar h:/v rw,user_id=0",
    "100 27 8:1 /x /mnt - ext4 /dev/sda1 rw",
    "half a line",
    "",
  ].join("\n");
  deepEqual(mountLines(text), [
    { device: "0:20", directory: "/sys", type: "sysfs" },
    { device: "0:41", directory: "/mnt/a b\\c", type: "fuse.mortar" },
    { device: "8:1", directory: "/mnt", type: "ext4" },
  ]);
});

Deno.test("mount/fuse: what is mounted elsewhere, or is of another type, reads ahead as before", () => {
  equal(setReadAhead("/nowhere", "fuse.mortar", 1 << 20), false);
  equal(setReadAhead("/", "fuse.mortar", 1 << 20), false);
});
