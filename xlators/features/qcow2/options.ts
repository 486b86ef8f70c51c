/** What can be set of `features/qcow2`. */

import { bool, int, type OptionSpec, size, text, type Values } from "core/options.ts";

/** Whether the layer is in a volume's graph says `features.qcow2`; here it is for volfiles by hand. */
export const options = {
  "directory": {
    ...text({
      default: ".qcow2",
      volumeKey: "features.qcow2-directory",
      help:
        "Name of the directory in the root that shows what is in qcow2 images. It is found by " +
        "its name and not listed.",
    }),
    values: "a dot, then letters, digits, - and _",
    parse: directoryName,
  } satisfies OptionSpec<string>,
  "write": bool({
    default: false,
    volumeKey: "features.qcow2-write",
    help:
      "disk.raw of an image can be written where nobody else has the image open; the image is " +
      "held meanwhile, so that QEMU's programs do not open it.",
  }),
  "open-files": int({
    default: 64,
    min: 1,
    max: 4096,
    volumeKey: "features.qcow2-open-files",
    help: "Images, and files below them, that are kept open; those used longest ago are closed.",
  }),
  "cache-size": size({
    default: 64 << 20,
    min: 1 << 20,
    max: 4 * 2 ** 30,
    volumeKey: "features.qcow2-cache-size",
    help: "Memory for tables of all images that are open.",
  }),
} as const;

export type Qcow2Values = Values<typeof options>;

function directoryName(name: string): string {
  if (/^\.[\w-]{1,254}$/.test(name) && name !== ".glusterfs" && name !== ".meta") return name;
  throw new RangeError(`expected a name that begins with a dot, got "${name}"`);
}
