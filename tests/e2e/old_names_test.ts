/** Called by GlusterFS's names: what scripts that know those programs see and do. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { sections } from "tests/e2e/script.ts";

e2e("glusterd: goes to the background, is found by name, and leaves its bricks running", [
  "unshare",
], async () => {
  const of = await sections(`
mkdir b
echo "##### start"; glusterd 2>&1; echo "= $?"
echo "##### found"; [ "$(pidof glusterd)" = "$(cat /var/run/glusterd.pid)" ] && pgrep -x glusterd | wc -l
ps -o args= -p $(cat /var/run/glusterd.pid)
echo "##### again"; glusterd; echo "= $?"
echo "##### volume"; gluster --mode=script volume create v 10.99.4.1:$PWD/b force; gluster --mode=script volume start v
echo "##### bricks"; ps -eo comm,args | grep '[-]-brick-name'
echo "##### files"; ls /var/lib/glusterd/glusterd.info /var/log/glusterfs/glusterd.log /var/log/glusterfs/bricks /var/run/gluster/vols/v
kill -USR1 $(pgrep -x glusterfsd)
for i in $(seq 600); do grep -q DUMP-END-TIME /var/run/gluster/*.dump.* 2>/dev/null && break; sleep 0.1; done
echo "##### dump"; tail -n 1 /var/run/gluster/*.dump.*
pkill -x glusterd; while pidof glusterd >/dev/null; do sleep 0.1; done
echo "##### left"; pgrep -xc glusterfsd; ls /var/run/glusterd.pid
BRICK=$(pgrep -x glusterfsd)
echo "##### back"; glusterd
online() { gluster --mode=script volume status v | awk -v pid=$BRICK '$NF == pid && $(NF-1) == "Y"' | wc -l; }
for i in $(seq 600); do [ $(online) = 1 ] && break; sleep 0.1; done; online
gluster --mode=script volume stop v; pgrep -xc glusterfsd
`);
  equal(of("start"), "= 0\n");
  match(of("found"), /^1\nglusterd *\n$/);
  equal(of("again"), "= 1\n");
  match(of("volume"), /^volume start: v: success$/m);
  match(
    of("bricks"),
    /^glusterfsd +\/usr\/sbin\/glusterfsd -s \S+ --volfile-id v\.10\.99\.4\.1\.\S+ -p \S+\.pid -S \S+\.socket --brick-name /,
  );
  match(of("files"), /^\/var\/lib\/glusterd\/glusterd\.info$/m);
  match(of("files"), /^10\.99\.4\.1-\S+-b\.pid$/m);
  match(of("dump"), /^DUMP-END-TIME: /);
  // The daemon takes its pid file away; the brick goes on, and is the next daemon's.
  equal(of("left"), "1\n");
  deepEqual(of("back").split("\n"), ["1", "volume stop: v: success", "0", ""]);
});

e2e("glusterd: profile and top tell what GlusterFS's client did, to the call", [
  "unshare",
  "mount.glusterfs",
], async () => {
  const of = await sections(`
mkdir b mnt
glusterd; gluster --mode=script volume create v 10.99.4.1:$PWD/b force; gluster --mode=script volume start v
gluster volume set v performance.write-behind off
gluster volume profile v start
mount -t glusterfs -o direct-io-mode=enable 10.99.4.1:/v $PWD/mnt
gluster volume profile v info clear >/dev/null
mkdir mnt/d1 mnt/d2
dd if=/dev/zero of=mnt/d1/f bs=8192 count=5 oflag=direct status=none
for i in 1 2 3; do setfattr -n user.n -v $i mnt/d1/f; done
mv mnt/d1/f mnt/d2/g
ln mnt/d2/g mnt/d2/h
echo "##### info"; gluster volume profile v info
echo "##### top"; gluster volume top v write list-cnt 3
rm mnt/d2/g mnt/d2/h; rmdir mnt/d1 mnt/d2
echo "##### then"; gluster volume profile v info incremental
echo "##### xml"; gluster --xml volume profile v info cumulative
umount mnt
gluster --mode=script volume stop v; pkill -x glusterd
`);
  const calls = (text: string) =>
    Object.fromEntries(
      [...text.matchAll(/ ns +(\d+) +(\w+)$/gm)].map(([, count, fop]) => [fop, Number(count)]),
    );
  const [cumulative = "", interval = ""] = of("info").split("Interval 0 Stats:");
  const { MKDIR, CREATE, WRITE, SETXATTR, RENAME, LINK, UNLINK, RMDIR } = calls(cumulative);
  deepEqual([MKDIR, CREATE, WRITE, RENAME, LINK, UNLINK, RMDIR], [
    2,
    1,
    5,
    1,
    1,
    undefined,
    undefined,
  ]);
  equal(SETXATTR! >= 3, true);
  deepEqual(calls(interval), calls(cumulative));
  match(cumulative, /^ +Block Size: +8192b\+ $/m);
  match(cumulative, /^Data Written: 40960 bytes$/m);
  // A file of two names goes by one of them.
  match(of("top"), /^Brick: 10\.99\.4\.1:\S+\/b\nCount\t\tfilename\n=+\n5\t\t\/d2\/[gh]\n$/);
  const then = calls(of("then"));
  match(of("then"), /^Interval 1 Stats:$/m);
  deepEqual([then["UNLINK"], then["RMDIR"], then["WRITE"]], [2, 2, undefined]);
  match(of("xml"), /<name>WRITE<\/name>\s*<hits>5<\/hits>/);
  match(of("xml"), /<totalWrite>40960<\/totalWrite>/);
});
