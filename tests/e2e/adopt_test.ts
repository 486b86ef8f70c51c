/** Brick directories change hands: made by one program, served by the other, unchanged. */

import { type BrickKind, Cluster, e2e, KIND, LAYOUTS, LONG } from "tests/e2e/harness.ts";
import { must } from "tests/e2e/process.ts";
import { copyDiffers, type Entry, expectSameTree, readTree } from "tests/e2e/tree.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const FILL = `
set -e; cd "$1"
mkdir -p a/b/c deep; printf 'text' > a/file; ln a/file a/b/hard; ln -s ../file a/b/soft; mkfifo a/fifo
dd if=/dev/urandom of=a/b/c/data bs=64k count=20 2>/dev/null; truncate -s 30M sparse; printf x >> sparse
mknod null c 1 3; chown 12:34 a/file; chmod 2770 a/b; setfattr -n user.k -v value a/file
setfacl -m u:99:rw a/file; setfacl -d -m g:98:rx a; touch -d '2001-02-03 04:05:06.789' a/file
for i in $(seq 1 200); do printf $i > deep/file-$i; done; mv deep/file-1 moved; rm deep/file-2
mkdir moved-dir; printf y > moved-dir/inside; mv moved-dir a/b/c/; : > 'name with ÿ'`;

/** What must work on files that another program made. */
const CHANGE = `
set -e; cd "$1"
printf more >> a/file; grep -q textmore a/b/hard; mv a/b/c/data a/data2; ln a/data2 a/data3; rm a/b/soft
printf new > a/new; rm deep/file-3; rmdir deep 2>/dev/null && exit 1; mv a/b/c/moved-dir up
chmod 711 a/b; setfattr -x user.k a/file; setfattr -n user.n -v v a/file; truncate -s 1000 sparse
rm -r deep; mkdir deep; printf z > deep/again`;

/** Contents and what a person set; directory times change when the handles below move. */
function contentDiffers(was: Entry, is: Entry): string[] {
  return copyDiffers({ ...was, mtime: is.mtime }, is);
}

async function handOver(layout: Layout, from: BrickKind, to: BrickKind): Promise<void> {
  const kinds = (kind: BrickKind) => [kind, kind];
  await using first = await Cluster.start({ layout, kinds: kinds(from) });
  let before: Map<string, Entry>;
  {
    await using mount = await first.mount();
    await must(["sh", "-c", FILL, "sh", mount.path]);
    before = await readTree(mount.path);
  }
  await Promise.all(first.bricks.map((each) => each.end("SIGTERM")));
  const adopt = first.bricks.map((each) => each.path);
  const stored = await Promise.all(adopt.map(readTree));
  {
    await using second = await Cluster.start({
      layout,
      kinds: kinds(to),
      adopt,
      volumeId: first.volumeId,
    });
    await using mount = await second.mount();
    expectSameTree(before, await readTree(mount.path), contentDiffers);
    // Looking changed nothing on disk.
    for (const [index, tree] of stored.entries()) {
      expectSameTree(tree, await readTree(adopt[index]!), contentDiffers);
    }
    await must(["sh", "-c", CHANGE, "sh", mount.path]);
    before = await readTree(mount.path);
    await Promise.all(second.bricks.map((each) => each.end("SIGTERM")));
  }
  // And back: what the second made of it is fine with the first.
  await using third = await Cluster.start({
    layout,
    kinds: kinds(from),
    adopt,
    volumeId: first.volumeId,
  });
  await using mount = await third.mount();
  expectSameTree(before, await readTree(mount.path), contentDiffers);
  await must([
    "rm",
    "-r",
    ...[...Deno.readDirSync(mount.path)].map((each) => `${mount.path}/${each.name}`),
  ]);
}

for (const layout of LONG ? LAYOUTS : ["one", "replica"] as const) {
  e2e(
    `adopt, ${layout}: a brick made by glusterfsd is served by us unchanged, and back`,
    ["setfacl"],
    () => handOver(layout, "glusterfsd", KIND),
  );
  e2e(
    `adopt, ${layout}: a brick made by us is served by glusterfsd unchanged, and back`,
    ["setfacl"],
    () => handOver(layout, KIND, "glusterfsd"),
  );
}
