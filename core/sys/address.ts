/** Addresses of buffers, for system calls that take them inside of structures. */

// Low and high half. A buffer's memory does not move as long as it is not resized or transferred.
const bases = new WeakMap<ArrayBuffer, readonly [number, number]>();

/** Writes the address of `bytes` plus `at` into the first two words of an iovec. */
export function addressInto(iovec: Uint32Array, bytes: Uint8Array<ArrayBuffer>, at: number): void {
  let base = bases.get(bytes.buffer);
  if (base === undefined) {
    const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(bytes.buffer)));
    base = [Number(address & 0xffffffffn), Number(address >> 32n)];
    bases.set(bytes.buffer, base);
  }
  const low = base[0] + bytes.byteOffset + at;
  iovec[0] = low;
  iovec[1] = base[1] + (low >= 2 ** 32 ? Math.floor(low / 2 ** 32) : 0);
}
