/** Files of the tree that are text: what an image says of itself, its snapshots and its bitmaps. */

import { EFBIG, ESTALE } from "core/errno.ts";
import { encodeName } from "core/lib/bytes.ts";
import { imageInfo, snapshotInfo } from "snapshot/qcow2/info.ts";
import type { SnapshotEntry } from "snapshot/qcow2/snapshot_table.ts";
import type { OpenImage } from "xlators/features/qcow2/open_image.ts";
import { type Place, snapshotPart } from "xlators/features/qcow2/places.ts";

/** Ranges of a bitmap that are told, about 16 MB of text; and texts that are kept as long as an image is open. */
const RANGES_MAX = 1 << 20, KEPT_MAX = 1 << 20;

/** The snapshot of a place. Throws ESTALE for one that is not there any more. */
export function snapshotOf({ image }: OpenImage, place: Place): SnapshotEntry {
  const part = "part" in place ? place.part : undefined;
  const found = image.snapshots.find((each) => snapshotPart(each) === part);
  if (!found) throw ESTALE;
  return found;
}

/** The text of a place, which the receiver must not change. */
export async function textOf(open: OpenImage, place: Place): Promise<Uint8Array<ArrayBuffer>> {
  const key = "part" in place ? `${place.kind} ${place.part}` : place.kind;
  const known = open.texts.get(key);
  if (known) return known;
  const text = encodeName(await made(open, place));
  if (text.length <= KEPT_MAX) open.texts.set(key, text);
  return text;
}

async function made(open: OpenImage, place: Place): Promise<string> {
  const { image, stat } = open;
  switch (place.kind) {
    case "info":
      return json(await imageInfo(image, stat.blocks * 512));
    case "snapshot-info": {
      const snapshot = snapshotOf(open, place);
      return json({ ...snapshotInfo(snapshot), "virtual-size": snapshot.diskSize });
    }
    case "bitmap":
      return await ranges(open, place.part);
    default:
      throw ESTALE;
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 4)}\n`;
}

// A line for each range: where it begins and its length, in bytes.
async function ranges({ image }: OpenImage, name: string): Promise<string> {
  const bitmap = (await image.bitmaps()).find((each) => each.name === name && !each.inUse);
  if (!bitmap) throw ESTALE;
  const lines: string[] = [];
  for await (const { offset, length } of image.dirtyRanges(bitmap)) {
    if (lines.push(`${offset} ${length}\n`) > RANGES_MAX) throw EFBIG;
  }
  return lines.join("");
}
