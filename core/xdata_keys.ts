/**
 * Every key of extra data, once: who asks, who answers, unit. The names are GlusterFS's.
 * A request and its answer may share a name but not a type: then there are two keys.
 */

import { bytesKey, gfidKey, iattKey, intKey, mdataKey, requestKey, textKey } from "core/xdata.ts";

// Making things.

/** Asked by clients of create, mkdir, mknod, symlink, lookup: the gfid the new inode shall have. Acted on by storage/posix. */
export const GFID_REQ = gfidKey("gfid-req");
/** Name of a parent xattr that must still have the value sent under that name (distribute's layout). Checked by storage/posix. */
export const PREOP_PARENT_KEY = textKey("glusterfs.preop.parent.key");
/** Answer of storage/posix, 1: the check above failed. */
export const PREOP_CHECK_FAILED = intKey("glusterfs.preop.check.failed");
/** Umask of the caller, sent by FUSE beside a mode that is masked already. Acted on by features/access-control. */
export const UMASK = intKey("umask");
/** The mode before that, for directories with a default ACL: there the umask does not count. */
export const UNMASKED_MODE = intKey("mode");
/** Marks a fop that a daemon does for itself. */
export const INTERNAL_FOP = requestKey("glusterfs-internal-fop");

// Counts that replicate and disperse ask of features/locks.

/** Locks held and wanted on the inode in all domains. */
export const INODELK_COUNT = intKey("glusterfs.inodelk-count");
/** Entry locks held and wanted in the directory. */
export const ENTRYLK_COUNT = intKey("glusterfs.entrylk-count");
/** POSIX locks held and wanted. */
export const POSIXLK_COUNT = intKey("glusterfs.posixlk-count");
/** Entry locks on the looked-up name in its parent. */
export const PARENT_ENTRYLK = intKey("glusterfs.parent-entrylk");
/** Asks the count in one domain, named by the value; answered under INODELK_COUNT. */
export const INODELK_DOM_COUNT = textKey("glusterfs.inodelk-dom-count");
/** Asks counts for every key that starts with INODELK_DOM_PREFIX; answered under those keys. */
export const MULTI_DOM_LK_COUNT = requestKey("glusterfs.multi-dom-lk-cnt-req");
export const INODELK_DOM_PREFIX = "glusterfs.inodelk-dom-prefix";

// Answered by storage/posix.

/** Open files of the inode, of any client. */
export const OPEN_FD_COUNT = intKey("glusterfs.open-fd-count", "uint");
/** The same, only those opened for writing. */
export const OPEN_ACTIVE_FD_COUNT = intKey("glusterfs.open-active-fd-count", "uint");
/** 1 if a write began at the end of the file. */
export const WRITE_IS_APPEND = intKey("glusterfs.write-is-append", "uint");
/** A write that only counts as done at the end of file (append lock). */
export const WRITE_UPDATE_ATOMIC = requestKey("glusterfs.write-update-atomic");
/** Asks for all xattrs of the inode. */
export const LIST_XATTR = requestKey("list-xattr");
/** Asks for the whole content if it has at most that many bytes; answered as bytes. */
export const CONTENT = bytesKey("glusterfs.content");
export const CONTENT_LIMIT = intKey("glusterfs.content", "uint");
/** Answer of open, 1: the file is read and written past the kernel's cache. Acted on by mount/fuse. */
export const DIRECT_IO_MODE = intKey("direct-io-mode");
/** Size in bytes. */
export const GET_SIZE = intKey("get-size", "uint");
/** Names left after unlink. */
export const GET_LINK_COUNT = intKey("get-link-count", "uint");
export const REQUEST_LINK_COUNT = requestKey("gf_request_link_count");
export const RESPONSE_LINK_COUNT = intKey("gf_response_link_count", "uint");
/** Attributes beside another answer. */
export const IATT_IN_XDATA = iattKey("dht-get-iatt-in-xattr");
export const MODE_IN_XDATA = intKey("dht-get-mode-in-xattr");
/** Attributes before and after setxattr. */
export const XATTR_PRESTAT = iattKey("virt-gf-prestat");
export const XATTR_POSTSTAT = iattKey("virt-gf-poststat");
/** Do not treat a lookup by a handle in `.glusterfs/unlink` as a miss. */
export const UNLINKED_LOOKUP = intKey("unlinked-lookup");

// features/index.

/** Value names what to count; answered as 0 or 1 under LINK_COUNT. */
export const LINK_COUNT = intKey("link-count");
export const LINK_COUNT_REQUEST = textKey("link-count");
/** Asks what an index directory lists (1: gfids of any type, 2: names); answered by the next key. */
export const INDEX_IA_TYPE_REQ = requestKey("glusterfs.index-ia-type-get-req");
export const INDEX_IA_TYPE_RSP = intKey("glusterfs.index-ia-type-get-rsp", "uint");
/** Asks types of gfids beside index names. */
export const GET_GFID_TYPE = requestKey("get-gfid-type");

// features/utime and storage.ctime.

/** Times to store if the inode has none. */
export const SET_CTIME_MDATA = mdataKey("set-ctime-mdata");

// Locks.

/** Lease of the caller, 16 bytes as text. */
export const LEASE_ID = textKey("lease-id");
/** Sent with lk: 1 for a lock that features/locks shall enforce on reads and writes, 0 for an advisory one. */
export const LOCK_MODE = intKey("glusterfs.lk.lkmode", "uint");

// Histories: features/snapshot and the storage/posix below it.

/**
 * Sent with unlink and rename: should the inode lose its last name, it is to be kept in the brick's
 * history under that name, which begins with its gfid. Acted on by storage/posix.
 */
export const KEEP_AS = textKey("mortar.keep-as");
/** Answer of storage/posix, 1: it was, and is. */
export const KEPT = intKey("mortar.kept", "uint");

/**
 * Extended attribute of a file that a brick of ours makes when it is asked: who has the file open for
 * writing, a line each of `PID CLIENT`: the process at the client, 0 if that is not known, and what
 * the client called itself. Asked of an open file, that one is not among them; nor are healers and
 * rebalance. At most 64 lines, those that have it longest. Answered by storage/posix; by
 * `cluster/replicate` for all copies together. GlusterFS's bricks have none of that name.
 */
export const WRITERS_XATTR = "trusted.mortar.writers";

/**
 * Extended attribute of a file of a cloned volume whose data is another brick's as far as nothing else
 * was put there: size and blocks that it has there, as text. Made by features/clone, which clients'
 * attributes of that name do not pass; not shown to any of them.
 */
export const BEGUN_XATTR = "trusted.mortar.begun";
