/** A tree with files of all kinds, and changes of all kinds to it, for tests of what snapshots have. */

import { must } from "tests/e2e/process.ts";
import { type Entry, expectSameTree, readTree } from "tests/e2e/tree.ts";

const LONG_NAME = "ä".repeat(127) + "x";

/** Files of all kinds. */
export const MAKE = `
cd "$1" && mkdir -p dir/deep/deeper empty gone "$2"
for n in $(seq 40); do echo "file $n" >dir/deep/f$n; done
echo long >"$2/$2"
dd if=/dev/urandom of=image bs=64k count=16 status=none
truncate -s 30M sparse && dd if=/dev/urandom of=sparse bs=4k seek=7000 count=2 conv=notrunc status=none
ln dir/deep/f1 link1 && ln dir/deep/f1 gone/link2
ln -s dir/deep/f2 symlink && mknod pipe p && mknod device c 5 7
setfattr -n user.kept -v old dir image "$2/$2" && setfacl -m u:daemon:rwx,g:games:r dir dir/deep/f3
setfacl -d -m u:games:rx dir/deep && chown 1000:1001 dir/deep/f4 && chmod 4751 dir/deep/f4
mkdir -p still/inner was-dir/in same && echo x >was-file && ln -s nowhere dangling
mknod other b 3 4 && echo quiet >same/owner && echo quiet >same/mode && echo quiet >same/xattr
ln same/mode same/linked && mkdir same/acl && setfacl -m u:daemon:rwx same/acl
touch -d '2001-02-03 04:05:06.789' dir/deep/f5 dir/deep/deeper empty still/inner same
`;

/** Of all kinds, too. */
export const CHANGE = `
cd "$1" && rm -rf gone "$2" symlink pipe device && mv dir/deep deep && mkdir dir/deep && mv deep dir/deep/old
dd if=/dev/zero of=image bs=4k seek=3 count=50 conv=notrunc status=none && truncate -s 700k image
truncate -s 10M sparse && truncate -s 40M sparse && rm link1 && echo other >link1
for n in $(seq 1 2 40); do rm dir/deep/old/f$n; done
for n in $(seq 2 4 40); do echo "new $n" >>dir/deep/old/f$n; mv dir/deep/old/f$n dir/deep/moved$n; done
setfattr -x user.kept dir && setfattr -n user.new -v x image && setfacl -b dir && chmod 711 dir
mkdir -p new/tree && echo x >new/tree/file && ln new/tree/file new/link && mv empty new/was-empty
mv dir/deep/old/deeper "$2"
rm -r was-dir && echo file >was-dir && rm was-file && mkdir -p was-file/in && echo x >was-file/in/f
chown 5:6 same/owner && chmod 1640 same/mode && setfattr -n user.a -v b same/xattr
setfacl -b same/acl && setfacl -m u:daemon:r same/owner && setfacl -d -m g:games:rwx still
rm other && mknod other b 3 5 && chown -h 7:8 dangling && touch -h -d '1999-01-02 03:04:05' dangling
fallocate -p -o 65536 -l 131072 image && touch -d '2004-05-06 07:08:09.5' still/inner same
`;

/** Runs one of them on the tree at `path`. */
export function script(text: string, path: string): Promise<string> {
  return must(["sh", "-e", "-c", text, "script", path, LONG_NAME]);
}

/** What differs of two entries; blocks are the file system's own. */
export function differences(want: Entry, got: Entry): string[] {
  const facts = (entry: Entry) =>
    Object.entries({
      ...entry,
      blocks: 0,
      xattrs: JSON.stringify(Object.entries(entry.xattrs).sort()),
    });
  const other = new Map(facts(got));
  return facts(want).filter(([name, value]) => other.get(name) !== value)
    .map(([name, value]) => `${name} is ${other.get(name)}, not ${value}`);
}

/** Throws unless the tree at `path` is that one. */
export async function expectTree(want: ReadonlyMap<string, Entry>, path: string): Promise<void> {
  expectSameTree(want, await readTree(path), differences);
}
