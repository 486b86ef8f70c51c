/**
 * Images on this machine, for commands. Files that an image names are looked for in its own folder, or
 * below the one that `--root` says, and nowhere else.
 */

import { CommandError } from "mgmt/cli/command.ts";
import { why } from "mgmt/file/failures.ts";
import { shownName } from "mgmt/file/listing.ts";
import { Qcow2Error } from "snapshot/qcow2/failures.ts";
import { type Image, openImage, type OpenOptions } from "snapshot/qcow2/image.ts";
import { LocalResolver } from "snapshot/qcow2/resolve.ts";

/** Where an image is, and which of its snapshots is meant. */
export interface ImageName {
  readonly path: string;
  readonly snapshot: string | undefined;
}

/** Reads IMAGE or IMAGE@SNAPSHOT. A file that is called so, `@` included, comes first. */
export async function parseImage(text: string): Promise<ImageName> {
  const at = text.lastIndexOf("@");
  if (at <= 0 || await exists(text)) return { path: text, snapshot: undefined };
  return { path: text.slice(0, at), snapshot: text.slice(at + 1) };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Does `act` with an image and closes it; failures name the image. */
export async function withImage<T>(
  path: string,
  options: OpenOptions & { readonly root?: string | undefined },
  act: (image: Image) => Promise<T>,
): Promise<T> {
  try {
    const real = await Deno.realPath(path);
    const root = options.root === undefined ? folderOf(real) : await Deno.realPath(options.root);
    const inside = root === "/" ? real.slice(1) : real.slice(root.length + 1);
    if (root !== "/" && !real.startsWith(`${root}/`)) {
      throw new CommandError(`Cannot open ${path}: it is not below ${options.root}`);
    }
    if (options.writable) await refuseUsed(real);
    const resolver = new LocalResolver(root);
    try {
      const file = await resolver.open(inside, "", { writable: options.writable ?? false });
      const image = await openImage(file, { ...options, resolver });
      try {
        return await act(image);
      } finally {
        // A change closes it itself, with a flush.
        if (!options.writable) await image.close();
      }
    } finally {
      resolver.close();
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const reason = error instanceof Qcow2Error ? error.message : why(error);
    throw new CommandError(`Cannot use ${path}: ${shownName(reason)}`);
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/**
 * Refuses an image that QEMU has open: it locks bytes from 100 on of the file (open file description
 * locks), which /proc/locks lists without saying who.
 */
async function refuseUsed(path: string): Promise<void> {
  const { ino } = await Deno.stat(path);
  const locks = await Deno.readTextFile("/proc/locks").catch(() => "");
  const used = locks.split("\n").some((line) => {
    const fields = line.trim().split(/\s+/);
    const LOCKS_AT = 100;
    return fields[1] === "OFDLCK" && fields[5]?.endsWith(`:${ino}`) &&
      Number(fields[6]) >= LOCKS_AT;
  });
  if (!used) return;
  throw new CommandError(
    `Cannot change ${path}: a guest or another program of QEMU has it open; shut that down first`,
  );
}
