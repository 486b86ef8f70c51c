/** What `qemu-img info --output=json` says of an image, in its words. */

import { CORRUPT, EXTENDED_L2 } from "snapshot/qcow2/header.ts";
import { EXT_BACKING_FORMAT, EXT_DATA_FILE, extensionText } from "snapshot/qcow2/header.ts";
import type { Image } from "snapshot/qcow2/image.ts";
import { viewOf } from "snapshot/qcow2/numbers.ts";
import type { SnapshotEntry } from "snapshot/qcow2/snapshot_table.ts";

/** What is printed as JSON. */
export type Info = { readonly [key: string]: InfoValue };
type InfoValue = string | number | boolean | Info | readonly InfoValue[];

/** An image as QEMU describes it; `actualSize` is how many bytes its file takes, where that is known. */
export async function imageInfo(image: Image, actualSize?: number): Promise<Info> {
  const { header, file, snapshots } = image.parts;
  const LAZY = 1;
  const dataFile = extensionText(header, EXT_DATA_FILE);
  const format = extensionText(header, EXT_BACKING_FORMAT);
  const bitmaps = (await image.bitmaps()).map(({ name, granularity, enabled, inUse }) => ({
    ...{ flags: [...inUse ? ["in-use"] : [], ...enabled ? ["auto"] : []], name, granularity },
  }));
  const newer = header.version === 2 ? {} : {
    "lazy-refcounts": (header.compatible.low & LAZY) !== 0,
    corrupt: (header.incompatible.low & CORRUPT) !== 0,
    "extended-l2": (header.incompatible.low & EXTENDED_L2) !== 0,
    ...dataFile === undefined ? {} : { "data-file": dataFile },
    ...bitmaps.length ? { bitmaps } : {},
  };
  return {
    filename: file.path,
    format: "qcow2",
    "virtual-size": header.size,
    "cluster-size": 1 << header.clusterBits,
    ...actualSize === undefined ? {} : { "actual-size": actualSize },
    "dirty-flag": image.dirty,
    ...header.backingFile === undefined ? {} : { "backing-filename": header.backingFile },
    ...format === undefined ? {} : { "backing-filename-format": format },
    ...snapshots.length ? { snapshots: snapshots.map(snapshotInfo) } : {},
    "format-specific": {
      type: "qcow2",
      data: {
        compat: header.version === 2 ? "0.10" : "1.1",
        "compression-type": header.compression,
        "refcount-bits": header.refcountBits,
        ...newer,
      },
    },
  };
}

/** A snapshot as QEMU describes it. */
export function snapshotInfo(snapshot: SnapshotEntry): Info {
  const icount = instructions(snapshot);
  return {
    id: snapshot.id,
    name: snapshot.name,
    "vm-state-size": snapshot.vmStateSize,
    "date-sec": snapshot.seconds,
    "date-nsec": snapshot.nanoseconds,
    "vm-clock-sec": Number(snapshot.vmClock / 1_000_000_000n),
    "vm-clock-nsec": Number(snapshot.vmClock % 1_000_000_000n),
    ...icount === undefined ? {} : { icount },
  };
}

// How many instructions the guest had run, if QEMU counted them: the first of what is beyond the fields
// that the specification names.
function instructions({ more }: SnapshotEntry): number | undefined {
  const NOT_COUNTED = 2n ** 64n - 1n;
  const count = more.length < 8 ? NOT_COUNTED : viewOf(more).getBigUint64(0);
  return count === NOT_COUNTED ? undefined : Number(count);
}
