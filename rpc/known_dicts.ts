/**
 * Dictionaries that come and go over and over: what a client asks of every lookup is the same. Bytes
 * that came twice are read once, and what was sent a few times is put together no more.
 *
 * Nothing that a peer sends grows these tables, and one that is of no use costs a look at its bytes.
 */

import type { Xdata } from "core/xdata.ts";
import { XdrReader, type XdrWriter } from "rpc/xdr.ts";

/** Pairs from which on it pays, and bytes up to which it does. */
const PAIRS_MIN = 3, BYTES_MAX = 1024;
const CAME = 64, SENT = 4;
/** Sent so often, it will be again. */
const SENT_OFTEN = 4;

/** What came last of those that share a place; `dict` once it came twice, in memory of its own. */
interface Came {
  hash: number;
  pairs: number;
  size: number;
  view: DataView | undefined;
  dict: Xdata | undefined;
}

interface Sent {
  dict: Xdata | undefined;
  times: number;
  bytes: Uint8Array | undefined;
}

const came: Came[] = Array.from(
  { length: CAME },
  () => ({ hash: 0, pairs: 0, size: 0, view: undefined, dict: undefined }),
);
const sent: Sent[] = Array.from(
  { length: SENT },
  () => ({ dict: undefined, times: 0, bytes: undefined }),
);
let nextSent = 0;

/** Reads `pairs` pairs that are said to be `size` bytes, by `read` unless they came before. */
export function readKnown(
  from: XdrReader,
  pairs: number,
  size: number,
  read: (from: XdrReader, pairs: number) => Xdata,
): Xdata {
  if (pairs < PAIRS_MIN || size > BYTES_MAX || size > from.left || size & 3) {
    return read(from, pairs);
  }
  const { at, view, bytes } = from;
  let hash = pairs;
  for (let i = at; i < at + size; i += 4) hash = (Math.imul(hash, 31) + view.getInt32(i)) | 0;
  const place = came[(hash ^ (hash >>> 16)) & (CAME - 1)]!;
  const again = place.hash === hash && place.pairs === pairs && place.size === size;
  if (again && place.dict) {
    if (!isSame(place.view!, view, at, size)) return read(from, pairs);
    from.skip(size);
    return place.dict;
  }
  const dict = read(from, pairs);
  // Values are views of what they were read from: those of the one that stays, of a copy.
  const copy = again && from.at - at === size
    ? new XdrReader(bytes.slice(at, at + size))
    : undefined;
  place.hash = hash;
  place.pairs = pairs;
  place.size = size;
  place.view = copy?.view;
  place.dict = copy && read(copy, pairs);
  return dict;
}

function isSame(known: DataView, view: DataView, at: number, size: number): boolean {
  for (let i = 0; i < size; i += 4) if (known.getInt32(i) !== view.getInt32(at + i)) return false;
  return true;
}

/** Writes `dict` by `write`, or the bytes that it wrote before. */
export function writeKnown(
  to: XdrWriter,
  dict: Xdata,
  write: (to: XdrWriter, dict: Xdata) => void,
): void {
  const known = dict.size < PAIRS_MIN ? undefined : sentBefore(dict);
  const at = to.at, before = known?.bytes;
  if (before) {
    to.reserve(before.length);
    to.bytes.set(before, at);
    return;
  }
  write(to, dict);
  if (!known || known.times < SENT_OFTEN || to.at - at > BYTES_MAX) return;
  known.bytes = to.bytes.slice(at, to.at);
}

// It is known by itself: dictionaries do not change.
function sentBefore(dict: Xdata): Sent | undefined {
  for (const each of sent) {
    if (each.dict !== dict) continue;
    each.times++;
    return each;
  }
  const oldest = sent[nextSent]!;
  nextSent = (nextSent + 1) % SENT;
  oldest.dict = dict;
  oldest.times = 1;
  oldest.bytes = undefined;
  return undefined;
}
