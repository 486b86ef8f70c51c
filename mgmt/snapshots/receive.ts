/**
 * Takes a stream in: does to a volume, as a client of it, what the stream says, then has a snapshot
 * taken. What comes is checked before it is done: names cannot lead out of the volume, nor through a
 * symbolic link to anywhere in it.
 *
 * How far it came is noted in the daemon's store now and then, when that is on the disk (the rest is
 * when the snapshot is taken). All that is
 * done again from there on may be done twice, but for taking names away: that is noted when it is done.
 */

import { ENODATA, ENOENT, ENOTDIR, ENOTEMPTY, FopError } from "core/errno.ts";
import { type Iatt, isDirectory, isRegular, isSymlink, S_IFMT } from "core/iatt.ts";
import { equalBytes } from "core/lib/bytes.ts";
import type { Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import type { Daemon } from "mgmt/cli/call.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { SnapshotDiff } from "mgmt/commands/snapshot_diff.ts";
import type { SnapshotInfos } from "mgmt/commands/snapshot_info.ts";
import type { SnapshotReceived } from "mgmt/commands/snapshot_received.ts";
import { why } from "mgmt/file/failures.ts";
import type { Session } from "mgmt/file/session.ts";
import { plain } from "mgmt/plain.ts";
import { askDaemon } from "mgmt/snapshots/asked.ts";
import { newSnapshotName } from "mgmt/snapshots/names.ts";
import { parseToken, type Token, tokenText } from "mgmt/snapshots/received.ts";
import { type ReadInto, type StreamHead, StreamReader } from "mgmt/snapshots/stream.ts";
import { type Arrived, type ArrivedAttributes, operationOf } from "mgmt/snapshots/arrived.ts";

/** A place is noted after so many bytes of data, or operations. */
const NOTE_BYTES = 256 << 20, NOTE_OPERATIONS = 2000;
const SYNCS_AT_ONCE = 16;
/** Where inodes wait for their new names. */
const ASIDE = ".mortar-receive";

/** Takes the stream in and answers the snapshot's name. Throws CommandError. */
export async function receiveSnapshot(
  session: Session,
  daemon: Daemon,
  volume: string,
  name: string | undefined,
  read: ReadInto,
): Promise<string> {
  // What could not be made at the end is not begun.
  if (name !== undefined) checkName(name);
  const reader = new StreamReader(read), head = await reader.head(), taken = name ?? head.name;
  checkName(taken);
  const { server, token } = await askDaemon<SnapshotReceived>(daemon, [
    "snapshot",
    "received",
    volume,
  ]);
  const known = await askDaemon<SnapshotInfos>(daemon, ["snapshot", "info"]);
  if (known.snapshots.some((each) => each.name === taken)) {
    throw new CommandError(
      `Cannot receive: there is a snapshot ${taken} already; give another name`,
    );
  }
  const at = { ...server, volume, path: "/", text: `volume ${volume}` };
  const live = await session.volume(at);
  const before = token === null ? undefined : parseToken(token);
  await checkPlace(head, before, volume);
  if (!before) await checkBase(daemon, live, head, volume, known);
  const receiver = new Receiver(session, live, head, (place) => note(daemon, volume, place));
  await receiver.all(reader);
  const described = head.description === null ? [] : ["description", head.description];
  const words = ["snapshot", "create", taken, volume, "no-timestamp", ...described];
  await askDaemon(daemon, [...words, "--origin", head.snapshot]);
  return taken;
}

function checkName(name: string): void {
  try {
    newSnapshotName(name);
  } catch (error) {
    throw new CommandError(`Cannot receive: ${plain(error)}`);
  }
}

async function note(daemon: Daemon, volume: string, place: Token): Promise<void> {
  await askDaemon(daemon, ["snapshot", "received", volume, "--note", tokenText(place)]);
}

function checkPlace(head: StreamHead, before: Token | undefined, volume: string): void {
  const forget = `"mortar snapshot received ${volume} --note none" forgets that`;
  if (before && before.stream !== head.stream) {
    throw new CommandError(
      `Cannot receive: volume ${volume} is in the middle of another snapshot; go on with that ` +
        `(snapshot send … --resume ${tokenText(before)}); ${forget}`,
    );
  }
  const from = before ?? { done: 0, offset: 0 };
  if (head.done === from.done && head.offset === from.offset) return;
  throw new CommandError(
    before
      ? `Cannot receive: ${before.done} operations were done; send with --resume ${
        tokenText(before)
      }`
      : "Cannot receive: the stream goes on where another one was interrupted, but not here; send it " +
        "without --resume",
  );
}

// What is changed has to be what it is changed from.
async function checkBase(
  daemon: Daemon,
  live: Volume,
  { base }: StreamHead,
  volume: string,
  { snapshots }: SnapshotInfos,
): Promise<void> {
  if (base === null) {
    for await (const { name } of live.readDir("/")) {
      throw new CommandError(
        `Cannot receive: a whole snapshot needs an empty volume, and "${name}" is in ${volume}`,
      );
    }
    return;
  }
  const found = snapshots.find((each) =>
    each.volume === volume && each.file === null && (each.origin ?? each.id) === base
  );
  if (!found) {
    throw new CommandError(
      `Cannot receive: volume ${volume} has no copy of the snapshot that this one is sent since ` +
        `(${base}); send that one first`,
    );
  }
  const { changes } = await askDaemon<SnapshotDiff>(daemon, ["snapshot", "diff", found.name, "-"]);
  if (!changes?.length) return;
  throw new CommandError(
    `Cannot receive: volume ${volume} changed since snapshot ${found.name} ("${
      changes[0]!.path
    }"); ` +
      `stop it and restore that first: mortar snapshot restore ${found.name}`,
  );
}

class Receiver {
  /** Directories that are none behind a symbolic link, until names change. */
  #safe = new Set<string>();
  #done: number;
  #isNaming: boolean;
  #open: { readonly path: string; readonly file: VolumeFile; readonly size: number } | undefined;
  /** Files that were written since the last note. */
  #unsynced: string[] = [];
  #sinceNote = { bytes: 0, operations: 0 };

  constructor(
    private readonly session: Session,
    private readonly volume: Volume,
    private readonly head: StreamHead,
    private readonly note: (place: Token) => Promise<void>,
  ) {
    this.#done = head.done;
    this.#isNaming = head.base !== null;
  }

  async all(reader: StreamReader): Promise<void> {
    try {
      await this.note(this.#place(this.head.offset));
      for (;;) {
        this.session.check();
        const record = await reader.next();
        if (record.is === "end") break;
        if (record.is === "operation") await this.#begin(operationOf(record.operation));
        else if (record.is === "data") await this.#write(record.offset, record.data);
        else await this.#discard(record.offset, record.size);
      }
      await this.#close();
    } catch (error) {
      await this.#open?.file.abandon();
      if (!(error instanceof FopError)) throw error;
      const where = this.#open ? ` "${this.#open.path}"` : "";
      throw new CommandError(`Cannot receive${where}: ${why(error)}`);
    }
  }

  #place(offset: number): Token {
    return { stream: this.head.stream, done: this.#done, offset };
  }

  // The one before has ended: an operation is done when all of its data is there.
  async #begin(operation: Arrived): Promise<void> {
    await this.#close();
    try {
      await this.#do(operation);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      const path = "path" in operation ? `"${operation.path}": ` : "";
      throw new CommandError(`Cannot receive ${path}${why(error)}`);
    }
    if (!this.#open) await this.#ended(operation.do === "names done");
  }

  async #ended(boundary: boolean): Promise<void> {
    this.#done++;
    this.#sinceNote.operations++;
    const { bytes, operations } = this.#sinceNote;
    const due = bytes >= NOTE_BYTES || operations >= NOTE_OPERATIONS;
    if (boundary || (due && !this.#isNaming)) await this.#noted(0);
  }

  async #noted(offset: number): Promise<void> {
    this.#sinceNote = { bytes: 0, operations: 0 };
    const sync = (path: string) =>
      this.volume.using(`/${path}`, { write: true }, (file) => file.sync());
    for (let at = 0; at < this.#unsynced.length; at += SYNCS_AT_ONCE) {
      await Promise.all(this.#unsynced.slice(at, at + SYNCS_AT_ONCE).map(sync));
    }
    this.#unsynced = [];
    await this.note(this.#place(offset));
  }

  async #close(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#open = undefined;
    await open.file.close();
    this.#unsynced.push(open.path);
    await this.#ended(false);
  }

  async #do(operation: Arrived): Promise<void> {
    const { volume } = this;
    switch (operation.do) {
      case "aside":
        return await this.#aside(operation.path, operation.key);
      case "remove":
        return await this.#remove(await this.#checked(operation.path));
      case "place":
        return await this.#put(operation.path, operation.key);
      case "names done":
        this.#isNaming = false;
        // Nothing of ours shall be in the snapshot, nor touch a directory after its times were set.
        return await this.#removeAside();
      case "directory": {
        const path = await this.#checked(operation.path), is = await this.#there(path);
        if (!is || !isDirectory(is)) await volume.mkdir(path, { mode: 0o700 });
        return;
      }
      case "symlink": {
        const path = await this.#checked(operation.path), is = await this.#there(path);
        if (is && isSymlink(is) && await volume.readlink(path) === operation.target) return;
        return await volume.symlink(operation.target, path);
      }
      case "node": {
        const path = await this.#checked(operation.path), is = await this.#there(path);
        if (is && (is.mode & S_IFMT) === (operation.mode & S_IFMT)) return;
        return await volume.mknod(path, operation.mode, operation.rdev);
      }
      case "link":
        return await this.#link(operation.path, operation.to);
      case "file":
        return await this.#openFile(operation.path, operation.size);
      case "attributes":
        return await this.#attributes(operation.path, operation.set);
    }
  }

  /** The path with a slash before it, if its directory is one and behind no symbolic link. */
  async #checked(path: string): Promise<string> {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (parent !== "" && !this.#safe.has(parent)) {
      const is = await this.#there(await this.#checked(parent));
      if (!is) throw ENOENT;
      if (!isDirectory(is)) throw ENOTDIR;
      this.#safe.add(parent);
    }
    if (path.split("/")[0] === ASIDE) {
      throw new CommandError(`Cannot receive "${path}": it is ours`);
    }
    return `/${path}`;
  }

  async #there(path: string): Promise<Iatt | undefined> {
    try {
      return await this.volume.lstat(path);
    } catch (error) {
      if (ENOENT.matches(error)) return undefined;
      throw error;
    }
  }

  async #aside(given: string, key: number): Promise<void> {
    const path = await this.#checked(given), to = `/${ASIDE}/${key}`;
    this.#safe.clear();
    if (!await this.#there(`/${ASIDE}`)) await this.volume.mkdir(`/${ASIDE}`, { mode: 0o700 });
    // It was done before an interruption.
    if (await this.#there(to) || !await this.#there(path)) return;
    await this.volume.rename(path, to);
  }

  async #put(given: string, key: number): Promise<void> {
    const path = await this.#checked(given), from = `/${ASIDE}/${key}`;
    this.#safe.clear();
    if (await this.#there(from)) await this.volume.rename(from, path);
    else if (!await this.#there(path)) throw ENOENT;
  }

  async #remove(path: string): Promise<void> {
    this.#safe.clear();
    const is = await this.#there(path);
    if (!is) return;
    if (!isDirectory(is)) return await this.volume.unlink(path);
    try {
      await this.volume.rmdir(path);
    } catch (error) {
      if (!ENOTEMPTY.matches(error)) throw error;
      throw new CommandError(
        `Cannot receive: "${path}" is not empty, as it was in the older snapshot`,
      );
    }
  }

  async #removeAside(): Promise<void> {
    if (!await this.#there(`/${ASIDE}`)) return;
    await this.volume.rmdir(`/${ASIDE}`).catch((error) => {
      if (!ENOTEMPTY.matches(error)) throw error;
    });
  }

  async #link(given: string, to: string): Promise<void> {
    const path = await this.#checked(given), source = await this.#checked(to);
    const is = await this.#there(path), of = await this.#there(source);
    if (!of || isDirectory(of)) throw ENOENT;
    if (is?.gfid !== of.gfid) await this.volume.link(source, path);
  }

  async #openFile(given: string, size: number): Promise<void> {
    const path = await this.#checked(given), is = await this.#there(path);
    if (is && !isRegular(is)) {
      throw new CommandError(`Cannot receive "${given}": it is no plain file`);
    }
    const file = await this.volume.open(path, { write: true, create: true, mode: 0o600 });
    this.#open = { path: given, file, size };
    await file.truncate(size);
    this.session.progress.file(given, size);
  }

  #inFile(offset: number, size: number): VolumeFile {
    const open = this.#open;
    if (open && offset + size <= open.size) return open.file;
    throw new CommandError("Cannot receive: data is of no file, or beyond its end");
  }

  async #write(offset: number, data: Uint8Array): Promise<void> {
    const file = this.#inFile(offset, data.length);
    await file.write(offset, data);
    this.session.progress.add(data.length);
    this.#sinceNote.bytes += data.length;
    if (this.#sinceNote.bytes < NOTE_BYTES) return;
    await file.sync();
    await this.#noted(offset + data.length);
  }

  async #discard(offset: number, size: number): Promise<void> {
    const file = this.#inFile(offset, size);
    if (size > 0) await file.discard(offset, size);
  }

  async #attributes(given: string, set: ArrivedAttributes): Promise<void> {
    const { volume } = this, path = given === "" ? "/" : await this.#checked(given);
    const is = await this.#there(path);
    if (!is) throw ENOENT;
    if (is.uid !== set.uid || is.gid !== set.gid) {
      await volume.change(path, { uid: set.uid, gid: set.gid });
    }
    if (!isSymlink(is)) {
      await volume.change(path, { mode: set.mode & 0o7777 });
      await this.#xattrs(path, set.xattrs);
    }
    const [mtime, atime] = [set.mtime, set.atime].map(([sec, nsec]) => ({ sec, nsec }));
    await volume.change(path, { mtime: mtime!, atime: atime! });
  }

  async #xattrs(path: string, wanted: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const { volume } = this;
    for (const name of await volume.listXattrs(path)) {
      if (wanted.has(name) || !/^(user|security|system\.posix_acl)/.test(name)) continue;
      await volume.removeXattr(path, name).catch((error) => {
        if (!ENODATA.matches(error)) throw error;
      });
    }
    for (const [name, value] of wanted) {
      const is = await volume.getXattr(path, name).catch(() => undefined);
      if (!is || !equalBytes(is, value)) await volume.setXattr(path, name, value);
    }
  }
}
