/** Putting a file system on a directory, and taking it off again. */

import { EBUSY, fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { fuserMount } from "xlators/mount/fuse/fusermount.ts";

const O_RDWR = 2, O_NONBLOCK = 0o4000;
const MNT_DETACH = 2;

/** Options of mount(8) that are flags of mount(2); the rest is for people or for FUSE. */
const FLAGS: Readonly<Record<string, number>> = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  dirsync: 128,
  noatime: 1024,
  nodiratime: 2048,
  relatime: 1 << 21,
  strictatime: 1 << 24,
  lazytime: 1 << 25,
  nosymfollow: 256,
};
/** Opposites, words for mount(8) alone, and what every mount of ours is: nothing to do. */
const IDLE = new RegExp(
  "^(rw|suid|dev|exec|async|atime|diratime|norelatime|nostrictatime|nolazytime|symfollow|silent|" +
    "loud|defaults|auto|noauto|user|user=.*|nouser|users|owner|group|_netdev|nofail|[xX]-.*|" +
    "comment=.*|default_permissions|nonempty)$",
);
/** What is left of the rest for FUSE. */
const FOR_FUSE = /^(context|fscontext|defcontext|rootcontext|max_read)=/;

/** What is mounted, and where. */
export interface MountRequest {
  readonly directory: string;
  /** As lists of mounts show it. */
  readonly source: string;
  /** What they show behind "fuse.". */
  readonly subtype: string;
  readonly readOnly: boolean;
  /** Options of mount(8). */
  readonly options: readonly string[];
}

/** A mount, made. */
export interface Mounted {
  /** Of /dev/fuse; does not block. */
  readonly fd: number;
  /** Takes the mount off; open files stay until they are closed. Harmless if it is off already. */
  unmount(): Promise<void>;
}

/** Mounts. Throws Error saying why not. */
export async function mount(request: MountRequest): Promise<Mounted> {
  await checkDirectory(request.directory);
  return Deno.uid() === 0 ? await mountAsRoot(request) : await fuserMount(forUser(request));
}

// A directory that answers ENOTCONN is what a client that was killed leaves behind.
async function checkDirectory(directory: string): Promise<void> {
  const cannot = (why: string) => new Error(`Cannot mount on "${directory}": ${why}`);
  try {
    const { isDirectory } = await Deno.stat(directory);
    if (!isDirectory) throw cannot("it is no directory");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw cannot("there is no such directory");
    if (error instanceof Error && /os error (107|103)\b/.test(error.message)) {
      throw cannot(
        `a client that is gone left its mount there; take it off with "umount -l ${directory}"`,
      );
    }
    throw error;
  }
}

async function mountAsRoot(request: MountRequest): Promise<Mounted> {
  const { directory, source, subtype } = request;
  const fd = sys.openat(
    AT_FDCWD,
    cstring("/dev/fuse"),
    O_RDWR | O_NONBLOCK | O_CLOEXEC,
    0,
  );
  if (fd < 0) {
    throw new Error(`Cannot open /dev/fuse: ${reason(fd)}; is the kernel module fuse there?`);
  }
  const { flags, words } = splitOptions(request);
  const data = [
    `fd=${fd}`,
    "rootmode=40000",
    "user_id=0",
    "group_id=0",
    "default_permissions",
    "allow_other",
    ...words,
  ];
  const done = await sys.mountAsync(
    cstring(source),
    cstring(directory),
    cstring(`fuse.${subtype}`),
    flags,
    cstring(data.join(",")),
  );
  if (done < 0) {
    sys.close(fd);
    const why = EBUSY.errno === -done
      ? "something is mounted there, or it is in use"
      : reason(done);
    throw new Error(`Cannot mount on "${directory}": ${why}`);
  }
  return { fd, unmount: () => unmountAsRoot(directory) };
}

/** Options of mount(8) as flags of mount(2), and what is left for FUSE. Throws RangeError. */
export function splitOptions(
  request: Pick<MountRequest, "readOnly" | "options">,
): { readonly flags: number; readonly words: readonly string[] } {
  let flags = 0;
  const words: string[] = [];
  for (const option of meant(request)) {
    if (Object.hasOwn(FLAGS, option)) flags |= FLAGS[option]!;
    // What root mounts is for all anyway.
    else if (option !== "allow_other") words.push(option);
  }
  return { flags, words };
}

/** What who is not root asks "fusermount3" for, all of it in `options`. Throws RangeError. */
export function forUser(request: MountRequest): MountRequest {
  // The kernel's way if nothing is said, and nothing that could be said to that program.
  return { ...request, options: meant(request).filter((option) => option !== "relatime") };
}

// The options that are to have an effect.
function meant({ readOnly, options }: Pick<MountRequest, "readOnly" | "options">): string[] {
  const unknown = (option: string) =>
    !(Object.hasOwn(FLAGS, option) || FOR_FUSE.test(option) || option === "allow_other");
  const found = [...readOnly ? ["ro"] : [], ...options.filter((option) => !IDLE.test(option))];
  const wrong = found.find(unknown);
  if (wrong === undefined) return found;
  throw new RangeError(`Cannot mount with option "${wrong}": it is not known`);
}

async function unmountAsRoot(directory: string): Promise<void> {
  const done = await sys.umountAsync(cstring(directory), MNT_DETACH);
  const EINVAL = -22, ENOENT = -2;
  // Somebody was faster.
  if (done === EINVAL || done === ENOENT) return;
  if (done < 0) throw new Error(`Cannot unmount "${directory}": ${reason(done)}`);
}

function reason(result: number): string {
  return fopError(result).message.replace(/^E\w+: /, "");
}
