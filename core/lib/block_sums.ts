/** Sums of a block of a file, by which healers compare copies without moving them. */

import { createHash } from "node:crypto";
import type { RchecksumReply } from "core/fops.ts";
import { intKey, withKey, type Xdata } from "core/xdata.ts";

const CHECK_ZERO = intKey("check-zero-filled");
const HAS_ZEROS = intKey("buf-has-zeroes", "uint");
/** The strong sum is a SHA-256. */
const SHA256 = intKey("fips-mode-rchecksum");

/** What `rchecksum` answers for a block, and what its request asks for beside that. */
export function blockSums(data: Uint8Array, request: Xdata | undefined): RchecksumReply {
  let xdata = withKey(undefined, SHA256, 1);
  if (request?.has(CHECK_ZERO)) {
    xdata = withKey(xdata, HAS_ZEROS, data.every((byte) => byte === 0) ? 1 : 0);
  }
  return {
    weak: weakChecksum(data),
    strong: new Uint8Array(createHash("sha256").update(data).digest()),
    xdata,
  };
}

/** Adler-32 that starts from 0 (zlib's `adler32(0, …)`), as rsync's weak sum here. */
export function weakChecksum(data: Uint8Array): number {
  const MODULUS = 65521, BLOCK = 5552;
  let a = 0, b = 0;
  for (let start = 0; start < data.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, data.length);
    for (let i = start; i < end; i++) {
      a += data[i]!;
      b += a;
    }
    a %= MODULUS;
    b %= MODULUS;
  }
  return ((b << 16) | a) >>> 0;
}
