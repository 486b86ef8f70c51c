/**
 * Compressed clusters. What an image calls compressed data may be anything, so both methods get a
 * limit: one cluster of output, and for zstd a window of no more than 8 MiB.
 */

import { inflateRawSync, zstdDecompressSync } from "node:zlib";
import { corrupt } from "snapshot/qcow2/failures.ts";
import { viewOf } from "snapshot/qcow2/numbers.ts";

const WINDOW_MAX = 8 << 20;
const ZSTD_MAGIC = 0xfd2fb528;

/**
 * One cluster of `size` bytes from its compressed form. `data` may have other bytes after it: what is
 * stored is counted in sectors. Throws if that is not what comes out.
 */
export function decompress(
  method: "zlib" | "zstd",
  data: Uint8Array<ArrayBuffer>,
  size: number,
): Uint8Array {
  let cluster: Uint8Array;
  try {
    cluster = method === "zlib"
      ? inflateRawSync(data, { maxOutputLength: size, chunkSize: Math.max(size, 64) })
      : zstdDecompressSync(data.subarray(0, frameSize(data)), { maxOutputLength: size });
  } catch {
    throw corrupt(`A compressed cluster is not ${method} data of one cluster (${size} bytes)`);
  }
  if (cluster.length !== size) {
    throw corrupt(`A compressed cluster has ${cluster.length} bytes of ${size}`);
  }
  return cluster;
}

// Where the first frame ends (RFC 8878 section 3.1.1): the library refuses what follows it.
function frameSize(data: Uint8Array<ArrayBuffer>): number {
  const view = viewOf(data);
  if (view.getUint32(0, true) !== ZSTD_MAGIC) throw corrupt("Not zstd data");
  const descriptor = view.getUint8(4);
  const single = (descriptor & 0x20) !== 0;
  let at = 5;
  if (!single) {
    const window = view.getUint8(at++);
    const base = 2 ** (10 + (window >> 3));
    if (base + base / 8 * (window & 7) > WINDOW_MAX) throw corrupt("A zstd window over 8 MiB");
  }
  at += [0, 1, 2, 4][descriptor & 3]!;
  const sizeField = descriptor >> 6;
  at += sizeField === 0 ? (single ? 1 : 0) : 1 << sizeField;
  for (;;) {
    const header = view.getUint8(at) | view.getUint16(at + 1, true) << 8;
    const RUN_LENGTH = 1;
    at += 3 + ((header >> 1 & 3) === RUN_LENGTH ? 1 : header >> 3);
    if (header & 1) break;
  }
  return at + (descriptor & 4 ? 4 : 0);
}
