/** The file system of a brick: space and inodes by statfs(2), the rest from the list of mounts. */

import { cstring, sys } from "core/sys/calls.ts";
import { type Mount, mountOf } from "mgmt/cluster/mounts.ts";
import type { DiskStatus } from "mgmt/status/volume_status.ts";

/** Space and inodes of the file system that `path` is on; undefined if it cannot be told. */
export async function spaceOf(path: string): Promise<
  | Required<Pick<DiskStatus, "total" | "free" | "blockSize" | "inodesTotal" | "inodesFree">>
  | undefined
> {
  const into = new BigUint64Array(15);
  // A disk that hangs must not hold up the daemon.
  if (await sys.statfsAsync(cstring(path), into) < 0) return undefined;
  // struct statfs, 64 bits each: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen,
  // frsize. Blocks are counted in frsize (statvfs(3)).
  const [, blockSize, blocks, free, , inodesTotal, inodesFree, , , fragment] = Array.from(
    into,
    Number,
  );
  const unit = fragment || blockSize!;
  return {
    total: blocks! * unit,
    free: free! * unit,
    blockSize: blockSize!,
    inodesTotal: inodesTotal!,
    inodesFree: inodesFree!,
  };
}

/** All that is known of the file system that `path` is on. `mounts`: for several paths at once. */
export async function diskStatus(path: string, mounts: Mount[]): Promise<DiskStatus> {
  const space = await spaceOf(path);
  if (!space) return {};
  const { inodesTotal, inodesFree, ...bytes } = space;
  const counts = {
    ...(inodesTotal ? { inodesTotal } : {}),
    ...(inodesFree ? { inodesFree } : {}),
  };
  const real = await Deno.realPath(path).catch(() => path);
  const mount = mountOf(real, mounts);
  if (!mount) return { ...bytes, ...counts };
  const inodeSize = await inodeSizeOf(mount);
  return {
    ...bytes,
    ...counts,
    device: mount.source,
    fsName: mount.type,
    mountOptions: mount.options,
    ...(inodeSize === undefined ? {} : { inodeSize }),
  };
}

/** Where a file system's first block says how large its inodes are. */
interface SuperBlock {
  readonly magicAt: number;
  readonly magic: number;
  readonly sizeAt: number;
  readonly littleEndian: boolean;
}

// Of XFS: struct xfs_dsb, "XFSB", sb_inodesize. Of ext2 and later: struct ext4_super_block, which
// begins at byte 1024: s_magic, s_inode_size.
const XFS: SuperBlock = { magicAt: 2, magic: 0x5342, sizeAt: 104, littleEndian: false };
const EXT: SuperBlock = {
  magicAt: 1024 + 56,
  magic: 0xef53,
  sizeAt: 1024 + 88,
  littleEndian: true,
};
const SUPER_BLOCKS: Readonly<Record<string, SuperBlock>> = {
  xfs: XFS,
  ext2: EXT,
  ext3: EXT,
  ext4: EXT,
};
/** File systems that make inodes as they need them. */
const DYNAMIC: readonly string[] = ["btrfs", "zfs"];

/**
 * Bytes of an inode; "N/A" where they have no one size; undefined if it cannot be told, as when
 * the device may not be read.
 */
async function inodeSizeOf({ type, source }: Mount): Promise<string | undefined> {
  if (DYNAMIC.includes(type)) return "N/A";
  const layout = SUPER_BLOCKS[type];
  if (!layout || !source.startsWith("/")) return undefined;
  const block = new Uint8Array(2048);
  try {
    using device = await Deno.open(source);
    for (let had = 0; had < block.length;) {
      const got = await device.read(block.subarray(had));
      if (got === null) return undefined;
      had += got;
    }
  } catch {
    // No right to read it, or the name is not of this mount namespace: then it is not known.
    return undefined;
  }
  const view = new DataView(block.buffer);
  if (view.getUint16(layout.magicAt, layout.littleEndian) !== layout.magic) return undefined;
  return `${view.getUint16(layout.sizeAt, layout.littleEndian)}`;
}
