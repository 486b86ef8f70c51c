/** Options of md-cache, as GlusterFS spells them, and which xattrs they make it keep. */

import { bool, duration, type OptionTable, text, type Values } from "core/options.ts";

export const options = {
  "md-cache": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "md-cache-timeout": duration({
    default: 1,
    min: 0,
    max: 600,
    volumeKey: "performance.md-cache-timeout",
    help: "How long attributes and names may be relied on. More than a second is safe only with " +
      "features.cache-invalidation, and with a cache-invalidation-timeout that is not shorter.",
  }),
  "cache-invalidation": bool({
    default: false,
    volumeKey: "performance.cache-invalidation",
    help: "Ask bricks to tell of changed extended attributes, too. What they tell is heeded in " +
      "any case; they tell if features.cache-invalidation is on.",
  }),
  "global-cache-invalidation": bool({
    default: true,
    volumeKey: "performance.global-cache-invalidation",
    help: "Accepted and without effect: a mount is told whenever bricks tell.",
  }),
  "force-readdirp": bool({
    default: true,
    volumeKey: "performance.force-readdirp",
    help:
      "Listings fetch attributes, too: who lists often looks at what is there. Of a directory " +
      "that holds more than can be known at once, only those of the first part.",
  }),
  "cache-capability-xattrs": bool({
    default: true,
    volumeKey: "performance.cache-capability-xattrs",
    help: "Keep security.capability.",
  }),
  "cache-ima-xattrs": bool({
    default: true,
    volumeKey: "performance.cache-ima-xattrs",
    help: "Keep security.ima.",
  }),
  "cache-selinux": bool({ default: false, help: "Keep security.selinux." }),
  "cache-swift-metadata": bool({
    default: false,
    volumeKey: "performance.cache-swift-metadata",
    help: "Keep the attribute of object servers, user.swift.metadata.",
  }),
  "cache-samba-metadata": bool({
    default: false,
    volumeKey: "performance.cache-samba-metadata",
    help: "Keep the attributes of Samba.",
  }),
  "cache-posix-acl": bool({ default: false, help: "Keep access control lists." }),
  "cache-glusterfs-acl": bool({
    default: false,
    help: "Keep glusterfs.posix.acl and glusterfs.posix.default_acl.",
  }),
  "xattr-cache-list": text({
    default: "",
    volumeKey: "performance.xattr-cache-list",
    help: "Further extended attributes to keep, separated by commas; * at the end of one stands " +
      "for any text.",
  }),
  "md-cache-statfs": bool({
    default: false,
    volumeKey: "performance.md-cache-statfs",
    help: "Keep how full the volume is.",
  }),
  "pass-through": bool({
    default: false,
    volumeKey: "performance.md-cache-pass-through",
    help: "Nothing is kept.",
  }),
} satisfies OptionTable;

/** Values of the options. */
export type MdCacheValues = Values<typeof options>;

const SETS: Readonly<Record<string, readonly string[]>> = {
  "cache-capability-xattrs": ["security.capability"],
  "cache-ima-xattrs": ["security.ima"],
  "cache-selinux": ["security.selinux"],
  "cache-swift-metadata": ["user.swift.metadata"],
  "cache-samba-metadata": [
    "user.DOSATTRIB",
    "security.NTACL",
    "user.org.netatalk.Metadata",
    "user.org.netatalk.ResourceFork",
    "user.DosStream.*",
  ],
  "cache-posix-acl": ["system.posix_acl_access", "system.posix_acl_default"],
  "cache-glusterfs-acl": ["glusterfs.posix.acl", "glusterfs.posix.default_acl"],
};

/** The xattrs that are kept. */
export class XattrNames {
  readonly #names = new Set<string>();
  readonly #prefixes: string[] = [];
  /** As bricks are told them. */
  readonly all: readonly string[];

  constructor(values: MdCacheValues) {
    const listed = values["xattr-cache-list"].split(",").map((name) => name.trim());
    const sets = Object.entries(SETS).filter(([option]) => values[option as keyof MdCacheValues]);
    this.all = [...sets.flatMap(([, names]) => names), ...listed.filter((name) => name !== "")];
    for (const name of this.all) {
      if (name.endsWith("*")) this.#prefixes.push(name.slice(0, -1));
      else this.#names.add(name);
    }
  }

  has(name: string): boolean {
    return this.#names.has(name) || this.#prefixes.some((prefix) => name.startsWith(prefix));
  }
}
