/** Options of a volfile's `type storage/posix`; names, defaults and ranges are GlusterFS's (posix-common.c). */

import {
  bool,
  duration,
  int,
  octal,
  oneOf,
  optionalText,
  type OptionTable,
  shareOrSize,
  text,
  type Values,
} from "core/options.ts";

export const options = {
  directory: text({ default: "", live: false, help: "The brick's directory." }),
  "volume-id": optionalText({
    live: false,
    help: "UUID of the volume; a directory that belongs to another one is not served.",
  }),
  "look-only": bool({
    default: false,
    live: false,
    help: "Change nothing in the directory: another process may be serving it.",
  }),
  hostname: optionalText({ live: false, help: "Name of this host in pathinfo answers." }),
  "glusterd-uuid": optionalText({ help: "UUID of this host's management daemon." }),
  "node-uuid-pathinfo": bool({
    default: false,
    volumeKey: "storage.node-uuid-pathinfo",
    help: "Name this host by the UUID instead of the host name in pathinfo answers.",
  }),
  "update-link-count-parent": bool({
    default: false,
    volumeKey: "storage.build-pgfid",
    help: "Keep how many names a file has in each parent (trusted.pgfid.*).",
  }),
  gfid2path: bool({
    default: true,
    live: false,
    help: "Keep every name of a file as an attribute (trusted.gfid2path.*).",
  }),
  "gfid2path-separator": text({
    default: ":",
    volumeKey: "storage.gfid2path-separator",
    help: "What stands between the paths of a file with several names.",
  }),
  "create-mask": octal({
    default: 0o777,
    volumeKey: "storage.create-mask",
    help: "Permission bits that new files may have.",
  }),
  "create-directory-mask": octal({
    default: 0o777,
    volumeKey: "storage.create-directory-mask",
    help: "Permission bits that new directories may have.",
  }),
  "force-create-mode": octal({
    default: 0,
    volumeKey: "storage.force-create-mode",
    help: "Permission bits that new files always have.",
  }),
  "force-directory-mode": octal({
    default: 0,
    volumeKey: "storage.force-directory-mode",
    help: "Permission bits that new directories always have.",
  }),
  "brick-uid": int({
    default: -1,
    min: -1,
    max: 0xffffffff,
    volumeKey: "storage.owner-uid",
    help: "Owner of the brick's root directory; -1 leaves it.",
  }),
  "brick-gid": int({
    default: -1,
    min: -1,
    max: 0xffffffff,
    volumeKey: "storage.owner-gid",
    help: "Group of the brick's root directory; -1 leaves it.",
  }),
  "max-hardlinks": int({
    default: 100,
    min: 0,
    max: 0xffffffff,
    volumeKey: "storage.max-hardlinks",
    help:
      "Most names of one file; beyond that, link fails with EMLINK. 0: as many as the backend takes.",
  }),
  ctime: bool({
    default: true,
    live: false,
    volumeKey: "features.ctime",
    help: "Keep the times that clients tell, so that all copies of a file agree.",
  }),
  reserve: shareOrSize({
    default: { percent: 1 },
    volumeKey: "storage.reserve",
    help:
      "Space that stays free for heal and rebalance, in percent or as a size: beyond it applications " +
      "get ENOSPC. 0 reserves nothing.",
  }),
  "health-check-interval": duration({
    default: 30,
    volumeKey: "storage.health-check-interval",
    help: "Seconds between trial writes to the backend; 0 never tries.",
  }),
  "health-check-timeout": duration({
    default: 20,
    volumeKey: "storage.health-check-timeout",
    help: "Seconds that a trial may take before the brick counts as failed; 0 waits for ever.",
  }),
  "disable-landfill-purge": bool({
    default: false,
    help: "Keep what was removed as a whole in .glusterfs/landfill.",
  }),
  "shared-brick-count": int({
    default: 1,
    min: 1,
    help: "Bricks that share the file system: statfs answers that part of it.",
  }),
  "export-statfs-size": bool({
    default: true,
    volumeKey: "storage.export-statfs-size",
    help: "Answer sizes in statfs; off answers 0 blocks.",
  }),
  "o-direct": bool({ default: false, help: "Open every file past the page cache." }),
  "xattr-namespace": oneOf(["auto", "trusted", "user"], {
    default: "auto",
    live: false,
    help:
      "Where attributes of the brick's own go: trusted.* needs root, user.* does not. auto chooses " +
      "by who we are.",
  }),
  "batch-fsync-mode": oneOf([
    "none",
    "syncfs",
    "syncfs-single-fsync",
    "syncfs-reverse-fsync",
    "reverse-fsync",
  ], {
    default: "reverse-fsync",
    help: "Accepted: every fsync is done by itself, on a thread that holds up nothing else.",
  }),
  "batch-fsync-delay-usec": int({ default: 0, min: 0, help: "Accepted, see batch-fsync-mode." }),
  "linux-aio": bool({
    default: false,
    help: "Accepted: what may wait for the disk runs on other threads.",
  }),
  "linux-io_uring": bool({ default: false, help: "Accepted, see linux-aio." }),
  "background-unlink": bool({
    default: false,
    help: "Accepted: freeing large files never blocks.",
  }),
  "janitor-sleep-duration": int({
    default: 10,
    min: 1,
    help: "Accepted: landfill is purged at once.",
  }),
  "fips-mode-rchecksum": bool({
    default: true,
    volumeKey: "storage.fips-mode-rchecksum",
    help: "Accepted: strong checksums are SHA-256.",
  }),
} satisfies OptionTable;

/** The values of the table. */
export type PosixOptions = Values<typeof options>;
