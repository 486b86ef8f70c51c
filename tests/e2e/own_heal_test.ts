/** Damage by GlusterFS's clients while a brick is away, mended by our own healer. */

import { strictEqual as equal } from "node:assert/strict";
import { type BrickKind, Cluster, e2e, KIND } from "tests/e2e/harness.ts";
import { healedByUs } from "tests/e2e/own_heal.ts";
import { must, until } from "tests/e2e/process.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const GLFSHEAL = ["/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal", "fio"];

const BEFORE = `
set -e; cd "$1"
for i in grown replaced cut mode owner xattr acl times removed linked moved; do seq 1 500 > $i; done
setfattr -n user.gone -v x xattr; mkdir -p removed-dir/sub moved-dir dir-to-file; printf x > removed-dir/sub/f
printf x > moved-dir/file; dd if=/dev/urandom of=middle bs=64k count=8 2>/dev/null
printf x > file-to-dir; mkdir -p tree/a/b/c; printf deep > tree/a/b/c/f; ln -s there link; ln linked second-name`;

const CHANGES = `
set -e; cd "$1"
printf more >> grown; printf new > over; mv over replaced; truncate -s 100 cut
chmod 640 mode; chown 12:34 owner; setfattr -n user.k -v changed xattr; setfattr -x user.gone xattr
setfacl -m u:55:r acl; touch -d '2011-11-11 11:11:11.5' times
rm removed; rm -r removed-dir; mkdir -p made/deep/er; printf x > made/deep/er/file; ln -s /target made/soft
ln linked made/hard; mkfifo made/fifo; mv moved made/moved; mv moved-dir made/
dd if=/dev/urandom of=middle bs=4096 seek=20 count=3 conv=notrunc 2>/dev/null
for i in $(seq 1 20); do printf $i > made/file-$i; done; truncate -s 20M made/sparse
rm file-to-dir; mkdir file-to-dir; printf y > file-to-dir/inside; rmdir dir-to-file; printf z > dir-to-file
mv tree/a/b made/b; mkdir -m 1777 made/sticky; rm link; ln -s elsewhere link; chown -h 7:8 link
mkdir -p made/0/1/2/3; printf deep > made/0/1/2/3/f; mv made/0/1 tree/one`;

async function mended(layout: Layout, kinds: readonly BrickKind[], victim: number): Promise<void> {
  await using cluster = await Cluster.start({ layout, kinds, client: { pingTimeout: 5 } });
  await using mount = await cluster.mount();
  const sh = (script: string) => must(["sh", "-c", script, "sh", mount.path]);
  await sh(BEFORE);
  await cluster.bricks[victim]!.end("SIGKILL");
  await sh(CHANGES);
  await cluster.bricks[victim]!.start();
  await until("something is to be healed", async () => {
    const counts = await cluster.pendingHeals();
    return counts.every((each) => each !== undefined) && counts.some((each) => each !== 0);
  });
  await healedByUs(cluster);
  equal(await must(["cat", `${mount.path}/tree/one/2/3/f`]), "deep");
}

e2e(
  "own heal: two copies, every kind of change is mended",
  GLFSHEAL,
  () => mended("replica", [KIND, KIND], 1),
);

e2e(
  "own heal: three copies, the first was away",
  GLFSHEAL,
  () => mended("replica3", [KIND, KIND, KIND], 0),
);

e2e(
  "own heal: two copies and an arbiter, a copy was away",
  GLFSHEAL,
  () => mended("arbiter", [KIND, KIND, KIND], 0),
);

e2e(
  "own heal: GlusterFS's bricks are healed, too",
  GLFSHEAL,
  () => mended("replica", ["glusterfsd", "glusterfsd"], 1),
);
