/** How fast a brick's disk takes and gives data: `volume top V read-perf|write-perf bs N count N`. */

import type { Env } from "core/env.ts";
import type { DiskTest } from "mgmt/brick/top.ts";

/** The file that is written; GlusterFS's name for it, so that tools that skip it go on doing so. */
const FILE = ".gf-tmp-stats-perf";
/** One block is one write: more than this in memory is nobody's block size. */
const BLOCK_MAX = 64 << 20;
/** A slip of the pen must not fill the disk. */
const TOTAL_MAX = 64 * 2 ** 30;

/**
 * Writes `blocks` blocks to a new file in `directory`, then for `reads` flushes and reads them; the
 * last of the two is what counts. Answers MB/s and microseconds. The file is removed in any case.
 * Throws RangeError on sizes that make no sense, and what the file system says.
 */
export async function diskSpeed(
  { clock }: Env,
  directory: string,
  { blockSize, blocks }: DiskTest,
  reads: boolean,
): Promise<{ throughput: number; time: number }> {
  const total = blockSize * blocks;
  if (blockSize < 1 || blocks < 1 || blockSize > BLOCK_MAX || total > TOTAL_MAX) {
    throw new RangeError(`${blocks} blocks of ${blockSize} bytes cannot be written for a test`);
  }
  const path = `${directory}/${FILE}`;
  const buffer = new Uint8Array(blockSize);
  // Left by a brick that was killed meanwhile.
  await Deno.remove(path).catch(() => {});
  const file = await Deno.open(path, { read: true, write: true, createNew: true, mode: 0o600 });
  try {
    let began = clock.monotonic();
    for (let i = 0; i < blocks; i++) {
      for (let at = 0; at < blockSize;) at += await file.write(buffer.subarray(at));
    }
    if (reads) {
      await file.sync();
      await file.seek(0, Deno.SeekMode.Start);
      began = clock.monotonic();
      for (let left = total; left > 0;) left -= await file.read(buffer) ?? left;
    }
    const time = Math.max(1, Math.round((clock.monotonic() - began) * 1000));
    return { throughput: total / time, time };
  } finally {
    file.close();
    await Deno.remove(path);
  }
}
