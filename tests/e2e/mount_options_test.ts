/** Options of a mount, asked for in GlusterFS's ways: what the kernel and programs see of them. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { SCRIPT_HOST, sections } from "tests/e2e/script.ts";

/** A volume "v" and a directory "m"; `try_it` says what it runs with, in one line. */
const SET_UP = `
mkdir b m
try_it() { "$@" >out 2>&1 && echo yes || tail -n 1 out | sed 's/.*: //'; }
told() { grep " $PWD/m " /proc/self/mountinfo | sed -E 's/^([^ ]+ ){5}([^ ]+) .*- /\\2 /'; }
gone() { for i in $(seq 600); do pgrep -x glusterfs >/dev/null || break; sleep 0.1; done; pgrep -cx glusterfs; }
gfid_of() { getfattr --only-values -n glusterfs.gfid.string "$1" 2>/dev/null; }
glusterd; gluster --mode=script volume create v ${SCRIPT_HOST}:$PWD/b force >/dev/null
gluster volume start v >/dev/null
`;

/** Reads what "dump-fuse" kept: each message's way, and operations of the requests. */
const READ_DUMP = `
import struct, sys
data = open(sys.argv[1], "rb").read()
at, asked, answered = 0, [], 0
while at < len(data):
    way, items, size, _, _, sign, name = struct.unpack_from("<cIIQII8s", data, at)
    assert (items, size, sign, name) == (3, 16, 12, b"GLUSTER\\xf5"), (at, items, size, sign, name)
    length, opcode = struct.unpack_from("<II", data, at + 33)
    if way == b"R": asked.append(opcode)
    else: answered += 1
    at += 33 + length
print(asked[0], 9 in asked, answered > 3, at == len(data))
`;

e2e("mount options: worm, ino32, gfids and kept requests do what they say", [
  "unshare",
  "getfattr",
], async () => {
  const of = await sections(`${SET_UP}
glusterfs --volfile-server=${SCRIPT_HOST} --volfile-id=v --worm --enable-ino32 --dump-fuse=dump $PWD/m
echo "##### worm"; try_it sh -c 'echo text >m/f'; try_it sh -c 'echo more >m/f'; try_it mv m/f m/g; try_it rm m/f
cat m/f m/.meta/graphs/active/worm-autoload/type
echo "##### ino32"; mkdir m/d; stat -c %i m; stat -c %i m/d m/f | while read i; do [ $i -lt 4294967296 ] && echo small; done
[ "$(ls -i m | awk '{print $1}')" = "$(stat -c %i m/d m/f)" ] && echo same
umount m; gone >/dev/null
echo "##### dump"; python3 -c '${READ_DUMP}' dump
mortar client -o rw,attribute-timeout=0,aux-gfid-mount ${SCRIPT_HOST}:/v $PWD/m
D=m/.gfid/$(gfid_of m/d) F=m/.gfid/$(gfid_of m/f)
echo "##### gfid"; cat $F; echo more >>$F; cat m/f; [ $(stat -c %i $F) = $(stat -c %i m/f) ] && echo same
ls -A m | tr '\\n' ' '; echo; stat -c %F m/.gfid $D
echo "##### directory"; try_it mkdir $D/e; try_it mv m/f $D/g; cat m/d/g; try_it chmod 700 $D; stat -c %a m/d
setfattr -n user.a -v b $D; getfattr --only-values -n user.a m/d; echo
echo "##### refused"; for each in "ls $D" "ls m/.gfid" "mkdir m/.gfid" "touch m/.gfid/x" "rmdir $D" "cat m/.gfid/x" "rm $F"; do try_it $each; done
umount m
`);
  equal(
    of("worm"),
    "yes\nRead-only file system\nRead-only file system\nRead-only file system\n" +
      "text\nfeatures/worm\n",
  );
  equal(of("ino32"), "1\nsmall\nsmall\nsame\n");
  // INIT, and a MKDIR among them.
  equal(of("dump"), "26 True True True\n");
  equal(of("gfid"), "text\ntext\nmore\nsame\nd f \ndirectory\ndirectory\n");
  equal(of("directory"), "yes\nyes\ntext\nmore\nyes\n700\nb\n");
  deepEqual(of("refused").trim().split("\n"), [
    ...["Operation not supported", "Operation not supported", "File exists"],
    ...["Operation not permitted", "Operation not permitted", "No such file or directory"],
    "Operation not permitted",
  ]);
});

e2e("mount options: fstab, mount(8) and umount(8) have their way", ["unshare"], async () => {
  const of = await sections(`${SET_UP}
mkdir sbin up && mount -t tmpfs none up && mkdir up/sbin up/work
mount -t overlay -o lowerdir=/usr/sbin,upperdir=up/sbin,workdir=up/work none /usr/sbin
for each in mortar glusterfs; do ln -sf $(command -v mortar) /usr/sbin/mount.$each; done
clients() { for i in $(seq 600); do [ $(pgrep -fc -- --foreground) = $1 ] && break; sleep 0.1; done; pgrep -fc -- --foreground; }
mkdir m/under
cat >fstab <<END
${SCRIPT_HOST}:/v $PWD/m glusterfs ro,_netdev,noatime,nodev,nosuid,noexec,nofail,x-systemd.automount,backup-volfile-servers=none.invalid,log-level=WARNING,log-file=$PWD/log,direct-io-mode=disable,fetch-attempts=3,capability 0 0
END
mount --bind fstab /etc/fstab
echo "##### fstab"; mount -a && told; [ -e m/under ] || echo covered; [ -e log ] && echo logged
mount -a && told | wc -l
echo "##### again"; try_it mount $PWD/m; umount m; mount -t mortar ${SCRIPT_HOST}:/v m && echo text >m/f; cat m/f
echo "##### busy"; exec 3<m/f; try_it umount m; umount -l m; told; read line <&3; echo $line; clients 1; exec 3<&-; clients 0
echo "##### subdirectory"; mount -t mortar ${SCRIPT_HOST}:/v m && mkdir -p m/d/e && echo deep >m/d/e/g; umount m
mount -t mortar ${SCRIPT_HOST}:/v/d/e m && ls m; told; umount m
echo "##### killed"; mount -t mortar -o entry-timeout=0 ${SCRIPT_HOST}:/v m; pkill -KILL -f -- --foreground; clients 0
try_it ls m; try_it mount -t mortar ${SCRIPT_HOST}:/v $PWD/m; umount m; mount -t mortar ${SCRIPT_HOST}:/v m && cat m/f; umount m
echo "##### places"; touch file; try_it mount -t mortar ${SCRIPT_HOST}:/v file; ls m; try_it mount -t mortar ${SCRIPT_HOST}:/none m; try_it mount -t mortar ${SCRIPT_HOST}:1:/v m
for each in transport=rdma nonsense lru-limit=-1 oom-score-adj=x; do try_it mount -t mortar -o $each ${SCRIPT_HOST}:/v m; done
glusterfs -s ${SCRIPT_HOST} --volfile-id=/v --oom-score-adj=77 $PWD/m && cat /proc/$(pgrep -x glusterfs)/oom_score_adj
told; umount m; mount.mortar -V | head -n 1
`);
  const ROOT = "rw,user_id=0,group_id=0,default_permissions,allow_other";
  const mounted = `fuse.glusterfs ${SCRIPT_HOST}:/v ${ROOT}\n`;
  equal(
    of("fstab"),
    `ro,nosuid,nodev,noexec,noatime ${mounted.replace(" rw,", " ro,")}covered\nlogged\n1\n`,
  );
  match(of("again"), /^a volume is mounted there already; take it off first with .*\ntext\n$/);
  equal(of("busy"), "target is busy.\ntext\n1\n0\n");
  equal(of("subdirectory"), `g\nrw,relatime fuse.mortar ${SCRIPT_HOST}:/v/d/e ${ROOT}\n`);
  match(
    of("killed"),
    /^0\nTransport endpoint is not connected\na client that is gone left .*"umount -l .*"\ntext\n$/,
  );
  deepEqual(of("places").trim().split("\n"), [
    ...["it is no directory", "under", "the server has no such volume, or it is not started"],
    ...["nothing listens there; is the management daemon running?", "only tcp is there"],
    ...["it is not known", 'expected a whole number, 0 or more, got "-1"'],
    ...["expected -1000 to 1000, below 0 as root (EINVAL)", "77"],
    ...[`rw,relatime ${mounted.trim()}`, "glusterfs 10.3"],
  ]);
});
