/**
 * cluster/distribute over one subvolume: every name is there, so nothing is looked for, locked or put
 * in order, and a fop costs what it costs below. Directories get the whole range of hashes when they
 * are made: once there are more subvolumes, their names are found where they are. GlusterFS's layer
 * does the same (`dht_pt_mkdir`).
 */

import type { Call } from "core/call.ts";
import { ENODATA, ENOENT, EPERM } from "core/errno.ts";
import type { Args, Reply } from "core/fops.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { PassThrough } from "core/xlator.ts";
import { newLayout, printShare } from "xlators/cluster/distribute/layout.ts";
import { MDS, SHARE } from "xlators/cluster/distribute/subvolumes.ts";

const WHOLE = printShare(
  newLayout({ names: [""], weights: [1], seed: 0, commit: 0 }).shares[0]!,
);

/** Attributes of directories that are distribute's own: each subvolume has others. */
const OWN: ReadonlySet<string> = new Set([SHARE.name, MDS.name]);

/** See the head of this file. */
export class Single extends PassThrough {
  /** Options say where names go; there is one place. */
  reconfigure(): void {}

  override lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return this.child.lookup(call, args).catch((error) => {
      // Somebody is making it, and has not set its gfid: it is not there yet.
      throw ENODATA.matches(error) ? ENOENT : error;
    });
  }
  override mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    const xdata = withKey(args.xdata, SHARE, WHOLE);
    return this.child.mkdir(call, { ...args, xdata });
  }

  override setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    if (hasOwn(args.xattrs)) return Promise.reject(EPERM);
    return this.child.setxattr(call, args);
  }
  override fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    if (hasOwn(args.xattrs)) return Promise.reject(EPERM);
    return this.child.fsetxattr(call, args);
  }
  override removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    if (OWN.has(args.name) || args.name === "" && hasOwn(args.xdata)) {
      return Promise.reject(EPERM);
    }
    return this.child.removexattr(call, args);
  }
  override fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    if (OWN.has(args.name) || args.name === "" && hasOwn(args.xdata)) {
      return Promise.reject(EPERM);
    }
    return this.child.fremovexattr(call, args);
  }
  override getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    if (OWN.has(args.name)) return Promise.reject(ENODATA);
    return this.child.getxattr(call, args).then(withoutOwn);
  }
  override fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    if (OWN.has(args.name)) return Promise.reject(ENODATA);
    return this.child.fgetxattr(call, args).then(withoutOwn);
  }
}

function hasOwn(named: Xdata | undefined): boolean {
  return named !== undefined && [...OWN].some((name) => named.has(name));
}

function withoutOwn<T extends { readonly xattrs: Xdata | undefined }>(reply: T): T {
  return hasOwn(reply.xattrs) ? { ...reply, xattrs: reply.xattrs!.without(...OWN) } : reply;
}
