/** Numbers of devices. */

const TWO_32 = 2 ** 32;

/** Linux's 32 bits for `Iatt.rdev`, as mknod takes them: 12 of the major number between 8 and 12 of the minor one. */
export function kernelDevice(rdev: number): number {
  const major = Math.floor(rdev / TWO_32), minor = rdev >>> 0;
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
