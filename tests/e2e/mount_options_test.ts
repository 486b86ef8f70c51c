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
