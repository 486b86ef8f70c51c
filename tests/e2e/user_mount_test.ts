/** Users other than root mount by fusermount3, as they would a disk of their own. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { SCRIPT_HOST, sections } from "tests/e2e/script.ts";

const PROGRAMS = ["fusermount3", "setpriv", "unshare"];

/** A volume "v", a directory "m" of the user nobody, and `as_user`, which runs our client as that one. */
const SET_UP = `
chmod 755 . && mkdir b m home && cp --reflink=auto $DENO deno && chown nobody: m home
as_user() {
  setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all \
    env -u XDG_DATA_HOME HOME=$PWD/home DENO_DIR=$PWD/home DENO=$PWD/deno "$@"
}
client() { as_user mortar client "$@" ${SCRIPT_HOST}:/v $PWD/m 2>&1; echo "= $?"; }
told() { grep " $PWD/m " /proc/self/mountinfo | sed -E 's/^([^ ]+ ){5}([^ ]+) .*- /\\2 /'; }
gone() { for i in $(seq 600); do pgrep -f -- --foreground >/dev/null || break; sleep 0.1; done; told; pgrep -fc -- --foreground; }
glusterd; gluster --mode=script volume create v ${SCRIPT_HOST}:$PWD/b force >/dev/null
gluster volume start v >/dev/null
mortar client ${SCRIPT_HOST}:/v $PWD/m && chmod 777 m && umount m
`;

e2e("user mount: nobody mounts, writes, reads and takes it off", PROGRAMS, async () => {
  const of = await sections(`${SET_UP}
echo "##### mount"; client
echo "##### told"; told
echo "##### used"; as_user sh -c 'echo text >m/f && cat m/f && mkdir m/d && mv m/f m/d/g && stat -c "%U %n" m/d/g'
echo "##### root"; ls m >/dev/null 2>&1; echo "= $?"
echo "##### log"; ls home/.local/share/mortar/log | wc -l
echo "##### gone"; as_user fusermount3 -u m; echo "= $?"; gone
echo "##### words"; client -o ro,noatime,noexec,_netdev,relatime,nofail,user,defaults,x-systemd.automount,comment=c
echo "##### read-only"; told; as_user sh -c 'cat m/d/g; : >m/new' 2>/dev/null; echo "= $?"
echo "##### term"; pkill -TERM -f -- --foreground; gone
echo user_allow_other >conf; mount --bind conf /etc/fuse.conf
echo "##### others"; client -o allow_other; cat m/d/g; umount m; gone
`);
  equal(of("mount"), "= 0\n");
  equal(
    of("told"),
    `rw,nosuid,nodev,relatime fuse.mortar ${SCRIPT_HOST}:/v ` +
      "rw,user_id=65534,group_id=65534,default_permissions\n",
  );
  equal(of("used"), "text\nnobody m/d/g\n");
  // As for every user's mount: root is somebody else.
  equal(of("root"), "= 2\n");
  equal(of("log"), "1\n");
  equal(of("gone"), "= 0\n0\n");
  equal(of("words"), "= 0\n");
  match(of("read-only"), /^ro,nosuid,nodev,noexec,noatime fuse\.mortar .*\ntext\n= [12]\n$/);
  equal(of("term"), "0\n");
  deepEqual(of("others").split("\n"), ["= 0", "text", "0", ""]);
});

e2e("user mount: what keeps nobody from mounting is said in one line", PROGRAMS, async () => {
  const of = await sections(`${SET_UP}
: >conf; mount --bind conf /etc/fuse.conf
echo "##### others"; client -o allow_other
echo "##### word"; client -o strictatime
echo "##### nonsense"; client -o nonsense
mkdir bin; ln -s /usr/bin/* bin; rm -f bin/fusermount3; rest=$PATH
export PATH=${"${PATH%%:*}"}:$PWD/bin
echo "##### missing"; client
export PATH=$rest
touch nothing; mount --bind nothing /usr/bin/fusermount3
echo "##### locked"; client
umount /usr/bin/fusermount3
chown root: m; chmod 755 m
echo "##### not theirs"; client
echo "##### left"; told; pgrep -fc -- --foreground
`);
  const cannot = (name: string, why: RegExp) => {
    const [line = "", code, ...more] = of(name).split("\n");
    match(line, /^Cannot mount /);
    match(line, why);
    deepEqual([code, more], ["= 1", [""]], of(name));
  };
  cannot("others", /allow_other .*user_allow_other.*\/etc\/fuse\.conf/);
  cannot("word", /fusermount3: .*strictatime/);
  cannot("nonsense", /option "nonsense": it is not known/);
  cannot("missing", /fusermount3, which is not installed \(package fuse3\)/);
  cannot("locked", /fusermount3, .* not for this user to run/);
  cannot("not theirs", /fusermount3: .*no write access/);
  equal(of("left"), "0\n");
});
