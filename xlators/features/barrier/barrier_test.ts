import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { type Clock, realClock } from "core/env.ts";
import { ENOENT } from "core/errno.ts";
import { FOP_NAMES, type FopName, O_SYNC } from "core/fops.ts";
import { Fd, Inode, ROOT_GFID } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { windTo, type Xlator } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { barrier } from "xlators/features/barrier/barrier.ts";

const inode = new Inode(ROOT_GFID);
const fd = new Fd(inode, 2);
// One set of args that suits every fop.
const args = {
  inode,
  fd,
  parent: inode,
  oldParent: inode,
  newParent: inode,
  name: "a",
  flags: 0,
  data: new Uint8Array(1),
};
const everything = Object.fromEntries(
  FOP_NAMES.map((fop) => [fop, () => Promise.resolve({ fop })]),
) as unknown as Script;

function bed(script: Script, given: Record<string, string>) {
  let fire: () => void = () => {};
  const clock: Clock = {
    ...realClock,
    after(_ms, run) {
      fire = run;
      return { cancel: () => void (fire = () => {}) };
    },
  };
  const child = new FakeChild(script);
  const values = (options: Record<string, string>) =>
    readOptions(barrier.options, new Map(Object.entries(options)));
  const top: Xlator = barrier.create(
    node("b", [child], { env: testEnv({ clock }) }),
    values(given),
  );
  const set = (options: Record<string, string>) => top.reconfigure?.(values(options) as never);
  return { top, child, set, timeOut: () => fire() };
}

const queue = (top: Xlator) => (top.state!() as { "queue-size": number })["queue-size"];

/** Lets every promise that can settle do so. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("features/barrier: on, the named fops are done but not answered, the others are answered", async () => {
  const { top, child, set } = bed(everything, { barrier: "on" });
  await top.start?.();
  const answered: FopName[] = [];
  const answers = FOP_NAMES.map((fop) =>
    windTo(top, fop, ROOT, args as never).then(() => void answered.push(fop))
  );
  await settled();
  deepEqual(child.fops, FOP_NAMES);
  const held = FOP_NAMES.filter((fop) => !answered.includes(fop));
  deepEqual(held, [
    "unlink",
    "rmdir",
    "rename",
    "truncate",
    "fsync",
    "removexattr",
    "ftruncate",
    "fremovexattr",
  ]);
  equal(queue(top), held.length);
  answered.length = 0;
  set({ barrier: "off" });
  await Promise.all(answers);
  deepEqual(answered, held, "in the order in which they came");
});

Deno.test("features/barrier: synchronous writes are held, by flag of the write or of the file", async () => {
  const { top } = bed(everything, { barrier: "on" });
  await top.start?.();
  const write = { fd, offset: 0, data: new Uint8Array(1), flags: 0 };
  const held = [
    top.writev(ROOT, { ...write, flags: O_SYNC }),
    top.writev(ROOT, { ...write, fd: new Fd(inode, O_SYNC) }),
  ];
  await top.writev(ROOT, write);
  equal(queue(top), 2);
  await top.stop?.();
  await Promise.all(held);
});

Deno.test("features/barrier: a fop under way when the barrier comes is held, failures too", async () => {
  let fail = () => {};
  const unlink = () => new Promise<never>((_, reject) => fail = () => reject(ENOENT));
  const { top, set } = bed({ unlink }, {});
  await top.start?.();
  const answer = top.unlink(ROOT, { parent: inode, name: "x", flags: 0 });
  set({ barrier: "on" });
  fail();
  const check = rejects(answer, (error) => ENOENT.matches(error));
  await settled();
  equal(queue(top), 1);
  set({ barrier: "off" });
  await check;
});

Deno.test("features/barrier: it times out by itself", async () => {
  const { top, timeOut } = bed(everything, { barrier: "on", "barrier-timeout": "5" });
  await top.start?.();
  const answer = top.fsync(ROOT, { fd, dataOnly: false });
  await settled();
  deepEqual(top.state?.(), {
    enabled: true,
    "timeout-sec": 5,
    "queue-size": 1,
    queue: [{ fop: "FSYNC", gfid: ROOT_GFID }],
  });
  timeOut();
  await answer;
  equal((top.state!() as { enabled: boolean }).enabled, false);
});
