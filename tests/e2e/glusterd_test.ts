/**
 * GlusterFS's management daemon and command line with our bricks in place of `glusterfsd`: it starts
 * them, asks them, and ends them, and nothing tells it that they are others.
 */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { exists, run } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const OURS = `${PROGRAM_DIR}/glusterfsd`;
const HOST = "10.99.3.1";

/**
 * Runs shell commands where `gluster` reaches a real glusterd that starts our bricks: in namespaces
 * of their own, that end with it. `g` runs gluster and says the command, its output and its code.
 */
async function besideGlusterd(dir: string, script: string): Promise<Map<string, string>> {
  await Deno.copyFile("/usr/sbin/glusterfsd", `${dir}/glusterfsd`);
  // All three old names are links to one program, which goes by its name.
  await Deno.writeTextFile(
    `${dir}/by-name`,
    `#!/bin/bash
case "$0" in
  *glusterfsd) DENO=${Deno.execPath()} exec ${OURS} "$@" 2>>${dir}/bricks.err ;;
  *) exec -a "$0" ${dir}/glusterfsd "$@" ;;
esac
`,
    { mode: 0o755 },
  );
  await Deno.writeTextFile(
    `${dir}/script`,
    `ip link set lo up && ip addr add ${HOST}/24 dev lo
for each in /var/lib/glusterd /var/run/gluster /var/log/glusterfs; do mount -t tmpfs none $each; done
mount --bind ${dir}/by-name /usr/sbin/glusterfsd
mkdir -p ${dir}/b1 ${dir}/b2 ${dir}/mnt
glusterd -N >/dev/null 2>&1 &
for i in $(seq 600); do gluster pool list >/dev/null 2>&1 && break; sleep 0.1; done
g() { echo "##### $*"; gluster --mode=script "$@" 2>&1; echo "= $?"; }
cd ${dir}
${script}
kill %1; wait %1
cat ${dir}/bricks.err >&2
`,
  );
  const { out, err } = await run(
    ["unshare", "-mnpf", "--kill-child", "--mount-proc", "bash", `${dir}/script`],
    { timeoutMs: 240_000 },
  );
  ok(out.includes("#####"), err);
  return new Map(
    out.split("##### ").slice(1).map((part) => {
      const end = part.indexOf("\n");
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}

e2e("glusterd: starts, asks and ends our bricks as its own", ["gluster", "unshare"], async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-glusterd-" });
  try {
    const said = await besideGlusterd(
      dir,
      `
g volume create v replica 2 ${HOST}:${dir}/b1 ${HOST}:${dir}/b2 force
g volume start v
g volume profile v start
mount -t glusterfs ${HOST}:/v mnt
mkdir mnt/d
echo hello > mnt/d/f
cat mnt/d/f > /dev/null
g --xml volume status v
g volume profile v info
g --xml volume profile v info peek
g volume top v write
g volume top v write-perf bs 4096 count 4
for part in clients mem inode fd callpool; do g volume status v $part; done
exec 7>mnt/open
g volume status v clients
g volume barrier v enable
g volume barrier v disable
g volume statedump v
for i in $(seq 600); do [ $(cat /var/run/gluster/*b1.*.dump.* 2>/dev/null | grep -c DUMP-END-TIME) = 1 ] && break; sleep 0.1; done
echo "##### dump"; cat /var/run/gluster/*b1.*.dump.*
echo "##### processes"; ps -eo comm,args | grep '[-]-brick-name'
exec 7>&-
umount mnt
g volume profile v stop
g volume stop v
echo "##### left"; ps -eo args | grep '[-]-brick-name'
`,
    );
    const of = (command: string) => said.get(command) ?? "";
    equal(of("volume start v"), "volume start: v: success\n= 0\n");
    const online = /<path>\S+\/b\d<\/path>\s*<peerid>\S+\s*<status>1<\/status>/g;
    equal([...of("--xml volume status v").matchAll(online)].length, 2);
    const info = of("volume profile v info");
    equal([...info.matchAll(/^Cumulative Stats:$/gm)].length, 2);
    // Once as asked for, and the directory that replicas keep for files without names.
    match(info, / [12] +CREATE\n/);
    match(info, /Data Written: 6 bytes/);
    match(of("--xml volume profile v info peek"), /<brickCount>2<\/brickCount>/);
    match(of("volume top v write"), /^1\t\t\/d\/f$/m);
    match(
      of("volume top v write-perf bs 4096 count 4"),
      /^Throughput \d+\.\d\d MBps time \d\.\d{4} secs$/m,
    );
    match(of("volume status v clients"), /^Clients connected : 2$/m);
    match(of("volume status v clients"), /^10\.99\.3\.1:\d+ +\d+ +\d+ +100000 *$/m);
    match(of("volume status v mem"), /^Arena +: \d+$/m);
    match(of("volume status v inode"), /^Active Inodes : \d+$/m);
    match(of("volume status v fd"), /^RefCount = 1 /m);
    match(of("volume status v callpool"), /^Pending calls: 0$/m);
    for (const order of ["enable", "disable"]) {
      equal(of(`volume barrier v ${order}`), "volume barrier: command successful\n= 0\n");
    }
    equal(of("volume statedump v"), "volume statedump: success\n= 0\n");
    match(of("dump"), /\nDUMP-END-TIME: .*\n$/);
    match(of("dump"), /^gfid=[-0-9a-f]{36}\nfd-count=1$/m);
    equal([...of("processes").matchAll(/^glusterfsd +\/usr\/sbin\/glusterfsd -s /gm)].length, 2);
    equal(of("volume stop v"), "volume stop: v: success\n= 0\n");
    equal(of("left"), "");
  } finally {
    if (exists(`${dir}/mnt`)) await run(["umount", "-l", `${dir}/mnt`]);
    await Deno.remove(dir, { recursive: true });
  }
});
