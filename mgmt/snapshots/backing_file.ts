/** The older export that an incremental one is over: its name in the image, and its format. */

import { CommandError } from "mgmt/cli/command_error.ts";
import { lastName } from "mgmt/file/address.ts";
import { doing } from "mgmt/file/failures.ts";
import { localInfo } from "mgmt/file/transfer.ts";
import { looksLikeQcow2 } from "snapshot/qcow2/header.ts";
import { readHeader } from "snapshot/qcow2/image.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { diskSize } from "snapshot/qcow2/overlay.ts";
import { checkName } from "snapshot/qcow2/resolve.ts";

/** Longest name that an image may have in it (qcow2.rst, "backing_file_size"). */
const NAME_BYTES_MAX = 1023;

/** Who is over whom. */
export interface BackingNames {
  readonly out: string;
  readonly snapshot: string;
  readonly since: string;
  /** As it is to be named, seen from `out`; undefined: `out` with the older snapshot's name in it. */
  readonly backing: string | undefined;
}

/** What goes into the image; `oldSize`: bytes of the file in the older snapshot. Throws CommandError. */
export async function backingFor(
  { out, snapshot, since, backing }: BackingNames,
  oldSize: number,
): Promise<{ readonly file: string; readonly format: "qcow2" | "raw" }> {
  const file = backing ?? byName(lastName(out), snapshot, since);
  try {
    checkName(file);
  } catch (error) {
    throw new CommandError(`Cannot use that backing file: ${(error as Error).message}`);
  }
  if (new TextEncoder().encode(file).length > NAME_BYTES_MAX) {
    throw new CommandError("Cannot use that backing file: its name has more than 1023 bytes");
  }
  const path = file.startsWith("/") ? file : out.slice(0, out.lastIndexOf("/") + 1) + file;
  const there = await doing("read", path, () => localInfo(path));
  if (there) return { file, format: await formatOf(path, there.size, since, oldSize) };
  if (backing === undefined) {
    throw new CommandError(
      `Cannot export what changed since ${since}: its export ${path} is not there; make it first, or ` +
        "name it with --backing FILE",
    );
  }
  return { file, format: /\.(raw|img)$/.test(file) ? "raw" : "qcow2" };
}

function byName(name: string, snapshot: string, since: string): string {
  const at = name.lastIndexOf(snapshot);
  if (at >= 0) return name.slice(0, at) + since + name.slice(at + snapshot.length);
  throw new CommandError(
    `Cannot tell what the export of ${since} is called: "${name}" has no "${snapshot}" in it; ` +
      "name it with --backing FILE",
  );
}

async function formatOf(
  path: string,
  size: number,
  since: string,
  oldSize: number,
): Promise<"qcow2" | "raw"> {
  const store = await doing("read", path, () => Promise.resolve(openLocalFile(path)));
  try {
    const start = new Uint8Array(8);
    const isImage = looksLikeQcow2(start.subarray(0, await store.read(0, start)));
    const disk = isImage ? (await readHeader({ store, id: path, path }, size)).size : size;
    if (diskSize(disk) === diskSize(oldSize)) return isImage ? "qcow2" : "raw";
    throw new CommandError(
      `Cannot use ${path}: its disk has ${disk} bytes, the file in snapshot ${since} has ${oldSize}`,
    );
  } finally {
    await store.close();
  }
}
