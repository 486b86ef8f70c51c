/** Our own healer on a cluster of a test. */

import type { Cluster } from "tests/e2e/harness.ts";
import { untilHealed } from "tests/e2e/heals.ts";
import { Process } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";
import { healVolfile } from "tests/e2e/volfiles.ts";

/** Starts `mortar heal` on the cluster's volume; the caller ends it. */
export async function startOwnHealer(cluster: Cluster): Promise<Process> {
  const volfile = `${cluster.dir}/own-shd.vol`;
  await Deno.writeTextFile(volfile, healVolfile(cluster.clientFacts()));
  const argv = [MORTAR, "heal", "-f", volfile];
  return new Process(cluster.space.inside(argv), `${cluster.dir}/own-shd.log`);
}

/** Heals with our own healer until GlusterFS's glfsheal finds nothing to do and all bricks are equal. */
export async function healedByUs(cluster: Cluster): Promise<void> {
  const healer = await startOwnHealer(cluster);
  try {
    await untilHealed(cluster);
  } catch (error) {
    throw new Error(`${error}\nmortar heal: ${healer.lastWords()}`);
  } finally {
    await healer.end("SIGTERM");
  }
}

/** What is there before a brick goes away; `$1` is the mounted volume. */
export const BEFORE = `
set -e; cd "$1"
for i in grown replaced cut mode owner xattr acl times removed linked moved; do seq 1 500 > $i; done
setfattr -n user.gone -v x xattr; mkdir -p removed-dir/sub moved-dir dir-to-file; printf x > removed-dir/sub/f
printf x > moved-dir/file; dd if=/dev/urandom of=middle bs=64k count=8 2>/dev/null
printf x > file-to-dir; mkdir -p tree/a/b/c; printf deep > tree/a/b/c/f; ln -s there link; ln linked second-name`;

/** Every kind of change, on that and on new entries. */
export const CHANGES = `
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
