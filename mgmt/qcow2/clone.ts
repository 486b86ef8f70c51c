/**
 * A new image that begins as an internal snapshot of another one: the file is cloned as it is, which
 * copies no data, and in the clone the snapshot is applied, which writes tables and counts. In a
 * volume the management daemon clones files, of a snapshot that is there for as long as that takes;
 * here file systems do that share blocks between files.
 */

import { toHex } from "core/lib/bytes.ts";
import { sys } from "core/sys/calls.ts";
import type { Daemon } from "mgmt/cli/call.ts";
import { CommandError, UsageError } from "mgmt/cli/command_error.ts";
import type { SnapshotCreated } from "mgmt/commands/snapshot_create.ts";
import type { Address } from "mgmt/file/address.ts";
import { complain } from "mgmt/file/session.ts";
import type { ImagePlaces } from "mgmt/qcow2/places.ts";
import { askDaemon } from "mgmt/snapshots/asked.ts";
import { repairImage } from "snapshot/qcow2/check.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { EXTERNAL_DATA } from "snapshot/qcow2/header.ts";
import type { Image } from "snapshot/qcow2/image.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { applySnapshot } from "snapshot/qcow2/snapshots.ts";

const FICLONE = 0x40049409;

/** What is to be made. */
export interface WantedImage {
  /** `IMAGE@SNAPSHOT`. */
  readonly source: string;
  /** Must not exist; in the same volume, or on the same file system here. */
  readonly target: string;
  /** The folder that files named by the image may be in, for images here. */
  readonly root: string | undefined;
}

/** Makes it. `daemon`: who clones files of volumes. Throws CommandError: nothing was made. */
export async function cloneImage(
  places: ImagePlaces,
  daemon: Daemon,
  { source, target, root }: WantedImage,
): Promise<void> {
  const { path, snapshot } = await places.parse(source);
  if (snapshot === undefined) {
    throw new UsageError(`Cannot clone "${source}": say which of its snapshots, as IMAGE@SNAPSHOT`);
  }
  const from = await places.address(path), to = await places.address(target);
  if (!!from !== !!to || (from && to && volumeOf(from) !== volumeOf(to))) {
    throw new UsageError(
      `Cannot clone ${path} to ${target}: a clone shares its data, so both are in one volume; use ` +
        '"mortar qcow2 export"',
    );
  }
  const options = { root, alone: true };
  await places.with(
    path,
    options,
    (image) => Promise.resolve(check(image, snapshot, path, target)),
  );
  const remove = from && to
    ? await cloneInVolume(places, daemon, from, to)
    : await cloneHere(path, target);
  try {
    await places.with(target, { ...options, writable: true }, (image) => goBack(image, snapshot));
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

function volumeOf({ host, port, volume }: Address): string {
  return `${host} ${port} ${volume}`;
}

// What would only be found out when there is a clone already.
function check(image: Image, snapshot: string, path: string, target: string): void {
  image.snapshot(snapshot);
  const { header: { backingFile, incompatible } } = image.parts;
  if (incompatible.low & EXTERNAL_DATA) {
    throw new CommandError(`Cannot clone ${path}: its data is in another file`);
  }
  const folder = (text: string) => text.slice(0, text.lastIndexOf("/") + 1);
  if (backingFile === undefined || backingFile.startsWith("/")) return;
  if (folder(path) === folder(target)) return;
  throw new CommandError(
    `Cannot clone ${path} to another directory: its backing file is named relative to its own`,
  );
}

async function goBack(image: Image, snapshot: string): Promise<void> {
  // Who had the image open while it was cloned may be one that counts late.
  let editor: Editor;
  try {
    if (image.dirty) await repairImage(image);
    editor = await Editor.open(image);
  } catch (error) {
    await image.close();
    throw error;
  }
  try {
    await editor.alone((tables) => applySnapshot(tables, image.snapshot(snapshot)));
  } finally {
    await editor.close();
  }
}

// Answers how to take it away again.
async function cloneInVolume(
  places: ImagePlaces,
  daemon: Daemon,
  from: Address,
  to: Address,
): Promise<() => Promise<void>> {
  const { volume, env } = await places.volume(from);
  const name = `qcow2-clone-${toHex(env.random.bytes(8))}`;
  const create = ["snapshot", "create", name, from.volume, "no-timestamp", "--file", from.path];
  const { deleted } = await askDaemon<SnapshotCreated>(daemon, create);
  for (const each of deleted) {
    complain(`Deleted the oldest snapshot, as auto-delete says: ${each}\n`);
  }
  try {
    await askDaemon(daemon, ["snapshot", "clone", name, "--file", to.path]);
  } finally {
    // The clone is there, or why it is not matters more.
    await askDaemon(daemon, ["snapshot", "delete", name]).catch(({ message }: Error) => {
      complain(`Snapshot ${name} is left, to be deleted: ${message}\n`);
    });
  }
  return () => volume.unlink(to.path);
}

async function cloneHere(path: string, target: string): Promise<() => Promise<void>> {
  if (await Deno.lstat(target).then(() => true, () => false)) {
    throw new CommandError(`Cannot write ${target}: it exists`);
  }
  const source = openLocalFile(path), remove = () => Deno.remove(target);
  try {
    const made = openLocalFile(target, { create: true });
    const result = sys.ioctlInt(made.fd, FICLONE, source.fd);
    await made.close();
    if (result >= 0) return remove;
    await remove();
    throw new CommandError(
      `Cannot clone ${path} to ${target}: their file system does not share data between files; use ` +
        '"mortar qcow2 export"',
    );
  } finally {
    await source.close();
  }
}
