/** A range copied between two subvolumes, through this client. */

import type { Call } from "core/call.ts";
import type { Args, CopyFileRangeReply } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import type { Xlator } from "core/xlator.ts";

const CHUNK_BYTES = 128 << 10;
/** Most that one fop copies: as with copy_file_range(2), the caller asks again for the rest. */
const COPY_BYTES_MAX = 16 << 20;

/** Copies from a file of one subvolume to one of another. Holes become zeros. */
export async function copyAcross(
  call: Call,
  from: Xlator,
  to: Xlator,
  { source, sourceOffset, fd, offset, size }: Args<"copyFileRange">,
): Promise<CopyFileRangeReply> {
  const most = Math.min(size, COPY_BYTES_MAX);
  let pre: Iatt | undefined, post: Iatt | undefined;
  let copied = 0;
  while (copied < most) {
    const asked = Math.min(CHUNK_BYTES, most - copied);
    const range = { fd: source, offset: sourceOffset + copied, size: asked, flags: source.flags };
    const { data, eof } = await from.readv(call, range);
    if (data.length) {
      const target = { fd, offset: offset + copied, data, flags: fd.flags };
      const written = await to.writev(call, target);
      pre ??= written.pre;
      post = written.post;
      copied += data.length;
    }
    if (eof || data.length < asked) break;
  }
  const { stat } = await from.fstat(call, { fd: source });
  return { size: copied, stat, pre, post };
}
