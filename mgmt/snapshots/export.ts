/**
 * A file of a snapshot into a file of this machine: whole, or what changed since an older snapshot as
 * an image over that one's export. It is written under a temporary name and takes its own when it is
 * complete.
 */

import { toHex } from "core/lib/bytes.ts";
import type { VolumeFile } from "core/volume_file.ts";
import type { Daemon } from "mgmt/cli/call.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { SnapshotInfo } from "mgmt/commands/snapshot_info.ts";
import { type Address, lastName } from "mgmt/file/address.ts";
import { doing } from "mgmt/file/failures.ts";
import type { Session } from "mgmt/file/session.ts";
import { localInfo } from "mgmt/file/transfer.ts";
import { exportDisk } from "mgmt/qcow2/export.ts";
import { askChangedRanges, askDaemon, askSnapshot } from "mgmt/snapshots/asked.ts";
import { backingFor } from "mgmt/snapshots/backing_file.ts";
import { ViewDisk } from "mgmt/snapshots/view_disk.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { type DiskRange, diskSize, overlayBytes, writeOverlay } from "snapshot/qcow2/overlay.ts";

/** What is to be written, and how. */
export interface WantedExport {
  readonly snapshot: string;
  /** Undefined: the file that the snapshot is of. */
  readonly path: string | undefined;
  readonly out: string;
  readonly format: "raw" | "qcow2";
  /** Name of the older snapshot. */
  readonly since: string | undefined;
  /** The older one's export, as it is to be named in the image; undefined: by the snapshots' names. */
  readonly backing: string | undefined;
  /** What is there is replaced. */
  readonly force: boolean;
}

/** Writes it. Throws CommandError: nothing is there that was not there before. */
export async function exportFile(
  session: Session,
  daemon: Daemon,
  wanted: WantedExport,
): Promise<void> {
  const { out, force } = wanted;
  const info = await askSnapshot(daemon, wanted.snapshot);
  const path = pathIn(info, wanted.path);
  await refuseTaken(out, force);
  const write = await writerOf(daemon, wanted, path);
  await withView(session, daemon, info, path, async (file) => {
    const { size } = await file.stat();
    const disk = new ViewDisk(file, size, () => session.check());
    const part = `${directoryOf(out)}.${lastName(out)}.${toHex(session.env.random.bytes(4))}`;
    await doing("write", out, async () => {
      try {
        await write(session, disk, part);
        await Deno.rename(part, out);
      } catch (error) {
        await Deno.remove(part).catch(() => {});
        throw error;
      }
    });
  });
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function pathIn({ name, file, status }: SnapshotInfo, given: string | undefined): string {
  const parts = given?.split("/").filter((part) => part !== "");
  if (parts && (!parts.length || parts.some((part) => part === "." || part === ".."))) {
    throw new CommandError(
      `Cannot export "${given}": write its path out, from the volume's root on`,
    );
  }
  const path = parts && `/${parts.join("/")}`;
  if (file !== null) {
    if (path === undefined || path === file) return file;
    throw new CommandError(`Cannot export "${path}": snapshot ${name} is of ${file}`);
  }
  if (path === undefined) {
    throw new CommandError(`Cannot export: say which file of snapshot ${name}, as ${name}:/PATH`);
  }
  if (status === "Started") return path;
  throw new CommandError(
    `Cannot export: snapshot ${name} is not activated; "mortar snapshot activate ${name}" does that`,
  );
}

async function refuseTaken(out: string, force: boolean): Promise<void> {
  const there = await doing("write", out, () => localInfo(out));
  if (!there) return;
  if (there.isDirectory) throw new CommandError(`Cannot write ${out}: it is a directory`);
  if (!there.isFile) throw new CommandError(`Cannot write ${out}: it is no plain file`);
  if (!force) throw new CommandError(`Cannot write ${out}: it exists; --force replaces it`);
}

type Write = (session: Session, disk: ViewDisk, target: string) => Promise<void>;

async function writerOf(daemon: Daemon, wanted: WantedExport, path: string): Promise<Write> {
  const { since, snapshot, out, format, backing } = wanted;
  if (since === undefined) {
    return async ({ progress }, disk, target) => {
      progress.file(lastName(out), disk.size);
      await exportDisk(disk, target, format, progress);
    };
  }
  const { oldSize, newSize, parts } = await askChangedRanges(daemon, since, snapshot, path);
  const names = { out, snapshot, since, backing };
  const below = { ...await backingFor(names, oldSize), size: diskSize(oldSize) };
  return async ({ progress }, disk, target) => {
    if (disk.size !== newSize) {
      throw new CommandError(
        `Cannot export: "${path}" has ${disk.size} bytes in the snapshot, and ${newSize} were told; ` +
          "copies of it may have to be healed: mortar volume heal VOLUME info",
      );
    }
    const told = async function* (): AsyncGenerator<DiskRange> {
      for await (const part of parts) {
        const ranges = part.map(([offset, length]) => ({ offset, length }));
        progress.file(lastName(out), overlayBytes(ranges, disk.size));
        yield* ranges;
      }
    };
    const store = openLocalFile(target, { create: true });
    await writeOverlay(store, disk, below, told(), (bytes) => progress.add(bytes));
  };
}

// Of a volume's snapshot, from there; a file's snapshot has a clone for as long as it takes.
async function withView(
  session: Session,
  daemon: Daemon,
  { name, volume, file, server }: SnapshotInfo,
  path: string,
  use: (file: VolumeFile) => Promise<void>,
): Promise<void> {
  const at = (volume: string, path: string): Address => ({
    ...{ ...server, volume, path, text: `${name}:${path}` },
  });
  if (file === null) {
    const view = await session.volume(at(`snaps/${name}/${volume}`, path));
    return await doing("export", `${name}:${path}`, () => view.using(path, {}, use));
  }
  const clone = `${directoryOf(file)}.export-${session.env.random.uuid()}`;
  await askDaemon(daemon, ["snapshot", "clone", name, "--file", clone]);
  const live = await session.volume(at(volume, clone));
  try {
    await doing("export", `${name}:${path}`, () => live.using(clone, {}, use));
  } finally {
    await live.unlink(clone);
  }
}
