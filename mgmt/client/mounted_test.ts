import { strictEqual as equal } from "node:assert/strict";
import { isVolumeOn } from "mgmt/client/mounted.ts";

const MOUNTINFO = `22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw
90 1 0:50 / /mnt rw,relatime shared:9 - fuse.glusterfs h:/v rw,user_id=0
91 1 0:51 / /mnt/a\\040b rw - fuse.mortar h:/v rw
92 1 0:52 / /mnt/s rw - fuse.sshfs h:/ rw`.split("\n");

Deno.test("mounted: a volume on the directory is seen, other mounts and other directories are not", () => {
  for (const directory of ["/mnt", "/mnt/a b"]) equal(isVolumeOn(MOUNTINFO, directory), true);
  for (const directory of ["/proc", "/mnt/s", "/mnt/a", "/", ""]) {
    equal(isVolumeOn(MOUNTINFO, directory), false, directory);
  }
});
