import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { EBADF, EMFILE } from "core/errno.ts";
import { Fd, Inode, ROOT_GFID } from "core/inode.ts";
import { FdTable } from "xlators/protocol/server/fd_table.ts";

const inode = new Inode(ROOT_GFID);
const newFd = () => new Fd(inode, 0);

Deno.test("protocol/server fds: numbers given back are used again", () => {
  const table = new FdTable();
  const [a, b, c] = [newFd(), newFd(), newFd()];
  deepEqual([table.add(a, false), table.add(b, false)], [0, 1]);
  deepEqual(table.remove(0), { fd: a, directory: false });
  equal(table.add(c, true), 0);
  equal(table.get(0), c);
  equal(table.count, 2);
});

Deno.test("protocol/server fds: what is no number of an open file is EBADF", () => {
  const table = new FdTable();
  table.add(newFd(), false);
  table.remove(0);
  for (const number of [0, 1, -1, -2, 2 ** 40, 0.5]) {
    throws(() => table.get(number), (error) => EBADF.matches(error));
    throws(() => table.remove(number), (error) => EBADF.matches(error));
  }
});

Deno.test("protocol/server fds: too many are EMFILE", () => {
  const table = new FdTable();
  table.add(newFd(), false);
  table.check(2);
  table.add(newFd(), false);
  throws(() => table.check(2), (error) => EMFILE.matches(error));
});

Deno.test("protocol/server fds: clearing answers what was open, and of which kind", () => {
  const table = new FdTable(), [file, gone, dir] = [newFd(), newFd(), newFd()];
  table.add(file, false);
  table.add(gone, false);
  table.add(dir, true);
  table.remove(1);
  deepEqual(table.clear(), [{ fd: file, directory: false }, { fd: dir, directory: true }]);
  equal(table.count, 0);
});
