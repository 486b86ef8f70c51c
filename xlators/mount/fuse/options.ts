/** Options of a mount, as GlusterFS's client spells them. */

import { bool, duration, int, optionalText, size, text, type Values } from "core/options.ts";

export const options = {
  mountpoint: text({
    default: "",
    live: false,
    help: "Directory on which the volume is mounted.",
  }),
  "volume-name": text({
    default: "volume",
    live: false,
    help: "What lists of mounts show as the source: HOST:VOLUME.",
  }),
  subtype: text({
    default: "mortar",
    live: false,
    help: 'What lists of mounts show behind "fuse.".',
  }),
  "fuse-mountopts": optionalText({
    live: false,
    help: "Options of mount(8) for the mount point, separated by commas: nosuid, noexec, ro, …",
  }),
  "read-only": bool({
    default: false,
    live: false,
    help: "Mount so that nothing can be changed.",
  }),
  acl: bool({ default: false, live: false, help: "Keep POSIX access control lists." }),
  selinux: bool({ default: false, help: "Keep SELinux labels." }),
  "entry-timeout": duration({
    default: 1,
    help: "How long the kernel may rely on what a name stands for.",
  }),
  "attribute-timeout": duration({
    default: 1,
    help: "How long the kernel may rely on attributes.",
  }),
  "negative-timeout": duration({
    default: 0,
    help: "How long the kernel may rely on a name not being there.",
  }),
  "gid-timeout": duration({
    default: 300,
    help: "How long the groups of a process are remembered.",
  }),
  "direct-io-mode": bool({
    default: false,
    help: "Read and write past the kernel's page cache, whatever applications ask for.",
  }),
  "fopen-keep-cache": bool({
    default: false,
    help: "Keep cached data of a file when it is opened again, if it did not change meanwhile.",
  }),
  "auto-invalidation": bool({
    default: true,
    live: false,
    help: "Drop cached data of a file whose size or time of change is not what it was.",
  }),
  "use-readdirp": bool({
    default: true,
    live: false,
    help: "Fetch attributes together with names where that pays.",
  }),
  "kernel-writeback-cache": bool({
    default: false,
    live: false,
    help: "Let the kernel gather writes. Other clients see them late.",
  }),
  "kernel-read-ahead": size({
    default: 1 << 20,
    max: 64 << 20,
    live: false,
    help:
      "How far the kernel reads ahead in files that are read in order; 0: as it does by itself. " +
      "Takes root.",
  }),
  "background-qlen": int({
    default: 64,
    min: 16,
    max: 65535,
    live: false,
    help: "Reads ahead and writes behind that the kernel has under way at once.",
  }),
  "congestion-threshold": int({
    default: 48,
    min: 12,
    max: 65535,
    live: false,
    help: "From how many of those on the kernel holds its own back.",
  }),
  "lru-limit": int({
    default: 16384,
    min: 0,
    help:
      "How many files are remembered. Beyond that the kernel, too, is told to forget those that " +
      "are not in use; 0: all.",
  }),
  "enable-ino32": bool({
    default: false,
    live: false,
    help: "Show numbers of inodes in 32 bits, for programs that know no longer ones.",
  }),
  "dump-fuse": optionalText({
    live: false,
    help: "Keep all that the kernel and the mount tell each other in that file, as GlusterFS does.",
  }),
  "client-pid": int({
    default: 0,
    min: -100,
    max: 0,
    help: "Process number, of a daemon's kind, that all calls are made as; 0: the caller's.",
  }),
};

/** Values of the options. */
export type FuseValues = Values<typeof options>;
