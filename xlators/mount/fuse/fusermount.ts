/**
 * Mounting for who is not root: `fusermount3`, which is, mounts and hands the open device over a
 * socket (its part of the protocol: a byte with the fd beside it, SCM_RIGHTS).
 */

import { fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import type { Mounted, MountRequest } from "xlators/mount/fuse/mount.ts";

const PROGRAM = "fusermount3";
const AF_UNIX = 1, SOCK_STREAM = 1;
const F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, FD_CLOEXEC = 1, O_NONBLOCK = 0o4000;
const SOL_SOCKET = 1, SCM_RIGHTS = 1;

/** Mounts with `options` alone; throws Error with what `fusermount3` said. */
export async function fuserMount(
  { directory, source, subtype, options }: MountRequest,
): Promise<Mounted> {
  const pair = new Int32Array(2);
  const made = sys.socketpair(AF_UNIX, SOCK_STREAM, 0, new Uint8Array(pair.buffer));
  if (made < 0) throw new Error(`Cannot make sockets: ${fopError(made).message}`);
  const [ours, theirs] = [pair[0]!, pair[1]!];
  sys.fcntl(ours, F_SETFD, FD_CLOEXEC);
  // Names in options are separated by commas, which "fusermount3" knows to be escaped.
  const escaped = source.replace(/[\\,]/g, "\\$&");
  const words = [
    `fsname=${escaped}`,
    `subtype=${subtype}`,
    "default_permissions",
    ...options,
  ];
  try {
    const program = new Deno.Command(PROGRAM, {
      args: ["-o", words.join(","), "--", directory],
      env: { _FUSE_COMMFD: String(theirs) },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    sys.close(theirs);
    const received = receive(ours);
    const { success, stderr } = await program.output();
    const fd = await received;
    if (!success || fd < 0) {
      const said = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
      throw new Error(`Cannot mount on "${directory}": ${said || "fusermount3 failed"}`);
    }
    sys.fcntl(fd, F_SETFD, FD_CLOEXEC);
    sys.fcntl(fd, F_SETFL, sys.fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    return { fd, unmount: () => fuserUnmount(directory) };
  } catch (error) {
    // What may not be run is not found on the path.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      throw new Error(
        `Cannot mount on "${directory}": this takes root, or ${PROGRAM}, which is not installed ` +
          `(package fuse3) or not for this user to run`,
      );
    }
    throw error;
  } finally {
    sys.close(ours);
  }
}

// The fd that comes over the socket; -1 if it ends without one.
async function receive(socket: number): Promise<number> {
  const data = new Uint8Array(1), control = new Uint8Array(64), message = new Uint8Array(56);
  const iov = new BigUint64Array([addressOf(data), 1n]);
  const head = new BigUint64Array(message.buffer);
  head[2] = addressOf(new Uint8Array(iov.buffer));
  head[3] = 1n;
  head[4] = addressOf(control);
  head[5] = BigInt(control.length);
  const size = await sys.recvmsgAsync(socket, message, 0);
  const view = new DataView(control.buffer);
  const isFd = head[5]! >= 20n && view.getInt32(8, true) === SOL_SOCKET &&
    view.getInt32(12, true) === SCM_RIGHTS;
  // Named once more: what the kernel was told the addresses of must live until now.
  return size > 0 && isFd && data.length && iov.length ? view.getInt32(16, true) : -1;
}

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

/** Takes a mount of this user off. */
export async function fuserUnmount(directory: string): Promise<void> {
  await new Deno.Command(PROGRAM, {
    args: ["-u", "-z", "-q", "--", directory],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
}
