/** An inode's state as bytes of the index: JSON, attributes' values in base64. */

import type { Iatt } from "core/iatt.ts";
import type { InodeState } from "snapshot/engine/live.ts";

const encoder = new TextEncoder(), decoder = new TextDecoder();

/** The row of an inode that was not there. */
export const ABSENT = new Uint8Array(0);

/** The inverse of `unpackState`. */
export function packState({ iatt, xattrs, target }: InodeState): Uint8Array {
  const values = [...xattrs].map(([name, value]) => [name, value.toBase64()]);
  return encoder.encode(JSON.stringify({ iatt, xattrs: values, target }));
}

/** The state in a row's bytes. Throws SyntaxError if there is none. */
export function unpackState(bytes: Uint8Array): InodeState {
  const { iatt, xattrs, target } = JSON.parse(decoder.decode(bytes)) as {
    iatt: Iatt;
    xattrs: [string, string][];
    target?: string;
  };
  return {
    iatt,
    xattrs: new Map(xattrs.map(([name, value]) => [name, Uint8Array.fromBase64(value)])),
    ...(target === undefined ? {} : { target }),
  };
}
