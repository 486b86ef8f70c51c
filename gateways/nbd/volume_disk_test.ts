import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EINVAL, ENOSPC, type FopError } from "core/errno.ts";
import { InodeTable } from "core/inode.ts";
import { Volume } from "core/volume.ts";
import { ALLOCATION } from "gateways/nbd/disk.ts";
import { VolumeDisk } from "gateways/nbd/volume_disk.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";

const SIZE = 1 << 16, HALF = SIZE / 2;
const OPTIONS = { readOnly: false, description: "" };

/** A disk of sevens, and somebody else who has its file open. */
async function make() {
  const inodes = new InodeTable(), top = new MemoryBrick(node("brick", [], { inodes }));
  const volume = new Volume({ top, inodes, env: testEnv(), call: ROOT });
  const other = await volume.open("/disk", { read: true, write: true, create: true });
  await other.write(0, new Uint8Array(SIZE).fill(7));
  const file = await volume.open("/disk", { read: true, write: true });
  return { other, disk: await VolumeDisk.of(file, OPTIONS) };
}

function fails(answer: Promise<unknown>, failure: FopError): Promise<void> {
  return rejects(answer, (error) => failure.matches(error));
}

Deno.test("gateways/nbd: a disk whose file grew is as long as it was, and served as before", async () => {
  const { other, disk } = await make();
  await other.truncate(2 * SIZE);
  equal(disk.size, SIZE);
  await disk.write(SIZE - 4, new Uint8Array(4).fill(8));
  deepEqual([...await disk.read(SIZE - 5, 5)], [7, 8, 8, 8, 8]);
  equal((await other.stat()).size, 2 * SIZE);
  await disk.close();
});

Deno.test("gateways/nbd: of a disk whose file was cut, what is gone is refused and does not grow again", async () => {
  const { other, disk } = await make();
  await other.truncate(HALF);
  const [place, data] = [new Uint8Array(8).fill(9), new Uint8Array(8)];
  await fails(disk.read(HALF - 4, 8, place), EINVAL);
  await fails(disk.read(HALF + 4, 8, place), EINVAL);
  await fails(disk.write(HALF - 4, data), ENOSPC);
  await fails(disk.zero(HALF, 8, false), ENOSPC);
  await fails(disk.trim(HALF, 8), EINVAL);
  await fails(disk.contexts.get(ALLOCATION)!(0, SIZE), EINVAL);
  equal((await other.stat()).size, HALF);
  await disk.write(HALF - 8, data);
  deepEqual([...await disk.read(HALF - 9, 9)], [7, 0, 0, 0, 0, 0, 0, 0, 0]);
  await other.truncate(SIZE);
  await disk.write(SIZE - 8, data);
  equal((await other.stat()).size, SIZE);
  await disk.close();
});

Deno.test("gateways/nbd: a large read of a disk that was cut is refused, not answered with what was in memory", async () => {
  const { other, disk } = await make();
  await other.truncate(HALF);
  await fails(disk.read(0, SIZE, new Uint8Array(SIZE).fill(9)), EINVAL);
  await disk.close();
});
