import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOSYS } from "core/errno.ts";
import { FOP_NAMES, O_RDWR } from "core/fops.ts";
import { Fd, InodeTable } from "core/inode.ts";
import { Xdata } from "core/xdata.ts";
import { OPEN_FD_COUNT, WRITE_IS_APPEND } from "core/xdata_keys.ts";
import { windTo } from "core/xlator.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { node } from "tests/fakes/node.ts";
import { IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import { arbiter } from "xlators/features/arbiter/arbiter.ts";

const DATA = Uint8Array.of(0xff);

Deno.test({
  name: "features/arbiter: whatever changes data is answered, and the file stays empty",
  ignore: !IS_ROOT,
  fn: async () => {
    await using brick = await TestBrick.start();
    const top = arbiter.create(node("arbiter", [brick.top]), {});
    const { fd, inode } = await brick.create("file");
    const range = { fd, offset: 0, size: 4096 };
    const answers = [
      await top.writev(ROOT, { fd, offset: 1 << 20, data: DATA, flags: O_RDWR }),
      await top.fallocate(ROOT, { ...range, mode: 0 }),
      await top.zerofill(ROOT, range),
      await top.discard(ROOT, range),
      await top.ftruncate(ROOT, { fd, offset: 5 }),
      await top.truncate(ROOT, { inode, offset: 7 }),
    ];
    for (const { pre, post } of answers) {
      deepEqual(pre, post);
      deepEqual([post?.gfid, post?.size, post?.blocks], [inode.gfid, 0, 0]);
    }
    equal((await brick.top.stat(ROOT, { inode })).stat.size, 0);
  },
});

Deno.test({
  name: "features/arbiter: a write says how many have the file open and that it appends, if asked",
  ignore: !IS_ROOT,
  fn: async () => {
    await using brick = await TestBrick.start();
    const top = arbiter.create(node("arbiter", [brick.top]), {});
    const { fd } = await brick.create("file");
    const write = { fd, offset: 0, data: DATA, flags: O_RDWR };
    equal((await top.writev(ROOT, write)).xdata, undefined);
    const xdata = Xdata.of([
      [OPEN_FD_COUNT.name, OPEN_FD_COUNT.write(0)],
      [WRITE_IS_APPEND.name, WRITE_IS_APPEND.write(0)],
    ]);
    const answer = (await top.writev(ROOT, { ...write, xdata })).xdata;
    deepEqual([answer?.get(OPEN_FD_COUNT), answer?.get(WRITE_IS_APPEND)], [1, 1]);
  },
});

Deno.test("features/arbiter: nobody reads data here, and all other fops pass", async () => {
  const child = new FakeChild();
  const top = arbiter.create(node("arbiter", [child]), {});
  const fd = new Fd(new InodeTable().root, O_RDWR);
  for (const fop of ["readv", "seek"] as const) {
    await rejects(windTo(top, fop, ROOT, { fd } as never), (error) => ENOSYS.matches(error));
  }
  deepEqual(child.fops, []);
  const own = "truncate writev ftruncate fallocate discard zerofill readv seek".split(" ");
  const passing = FOP_NAMES.filter((fop) => !own.includes(fop));
  for (const fop of passing) await rejects(windTo(top, fop, ROOT, {} as never));
  deepEqual(child.fops, passing);
});
