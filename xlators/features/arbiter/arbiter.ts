import type { Call } from "core/call.ts";
import { ENOSYS } from "core/errno.ts";
import type { Args, OnFd, PrePost, Reply } from "core/fops.ts";
import type { OptionTable } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { withKey } from "core/xdata.ts";
import { WRITE_IS_APPEND } from "core/xdata_keys.ts";
import { PassThrough } from "core/xlator.ts";

const options = {} satisfies OptionTable;

/**
 * Says yes to what changes data and keeps none of it. Clients send an arbiter one byte for a write
 * of any length: stored, it would be a file of another size, which healers take for damage.
 */
class Arbiter extends PassThrough {
  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    const { inode } = args;
    return this.child.stat(call, { inode }).then(({ stat }) => ({ pre: stat, post: stat }));
  }
  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.#unchanged(call, args);
  }
  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.#unchanged(call, args);
  }
  override fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.#unchanged(call, args);
  }
  override discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.#unchanged(call, args);
  }
  override zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.#unchanged(call, args);
  }
  // Clients never read here; who does must not take an empty file for the data.
  override readv(_call: Call, _args: Args<"readv">): Promise<Reply<"readv">> {
    return Promise.reject(ENOSYS);
  }
  override seek(_call: Call, _args: Args<"seek">): Promise<Reply<"seek">> {
    return Promise.reject(ENOSYS);
  }

  // An append is what the bricks agree on; a brick without data has no say, so it never objects.
  #unchanged(call: Call, { fd, xdata }: OnFd): Promise<PrePost> {
    return this.child.fstat(call, xdata ? { fd, xdata } : { fd }).then(
      ({ stat, xdata: counts }) => {
        const asked = xdata?.has(WRITE_IS_APPEND) ?? false;
        const answers = asked ? withKey(counts, WRITE_IS_APPEND, 1) : counts;
        return { pre: stat, post: stat, xdata: answers };
      },
    );
  }
}

/** `features/arbiter`: the brick that breaks ties in a replica of two copies. */
export const arbiter = defineXlator({
  type: "features/arbiter",
  summary: "Keep names and attributes of a replica, but no data",
  options,
  subvolumes: "one",
  create: (node) => new Arbiter(node),
});
