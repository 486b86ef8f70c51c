/**
 * Files between this machine and a volume. Content goes to a temporary name beside the target, is put
 * on stable storage, and takes the target's name when it is complete: who reads the target sees the
 * old file or the new one, never a part. A transfer that fails takes its temporary file away.
 */

import { FopError } from "core/errno.ts";
import { isDirectory, isRegular, isSymlink } from "core/iatt.ts";
import { encodeName, toHex } from "core/lib/bytes.ts";
import type { Volume } from "core/volume.ts";
import { CHUNK_BYTES } from "core/volume_file.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { type Address, inside, lastName } from "mgmt/file/address.ts";
import { doing } from "mgmt/file/failures.ts";
import { say, type Session } from "mgmt/file/session.ts";

const NAME_BYTES_MAX = 255;
const PERMISSIONS = 0o777;

/** A temporary name for `name`: of the form that rsync's have, which stays on the brick of `name`. */
function temporary(session: Session, name: string): string {
  const chance = toHex(session.env.random.bytes(4));
  const beside = `.${name}.${chance}`;
  return encodeName(beside).length <= NAME_BYTES_MAX ? beside : `.mortar.${chance}`;
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** Chunks of a reader, each a buffer of its own and full but for the last. */
async function* chunksOf(
  session: Session,
  from: { read(into: Uint8Array): Promise<number | null> },
): AsyncGenerator<Uint8Array> {
  for (;;) {
    const buffer = new Uint8Array(CHUNK_BYTES);
    let filled = 0;
    while (filled < buffer.length) {
      session.check();
      const got = await session.waitFor(from.read(buffer.subarray(filled)));
      if (got === null) break;
      filled += got;
    }
    if (filled) yield buffer.subarray(0, filled);
    if (filled < buffer.length) return;
    session.progress.add(filled);
  }
}

/** Puts what a reader yields at `target`. */
export async function putContent(
  session: Session,
  from: { read(into: Uint8Array): Promise<number | null> },
  target: Address,
  mode: number,
): Promise<void> {
  const volume = await session.volume(target);
  await doing("put", target.text, async () => {
    const name = lastName(target.path);
    const part = directoryOf(target.path) + temporary(session, name);
    try {
      await volume.using(part, { write: true, exclusive: true, mode }, async (file) => {
        const size = await file.writeFrom(chunksOf(session, from), { sparse: true });
        // It may end in zeros, which were left out.
        await file.truncate(size);
        await file.sync();
        const stored = (await file.stat()).size;
        if (stored !== size) {
          throw new CommandError(
            `Cannot put ${target.text}: ${size} bytes were written, ${stored} are there`,
          );
        }
      });
      await volume.rename(part, target.path);
    } catch (error) {
      await volume.unlink(part).catch(ignoreFop);
      throw error;
    }
  });
}

/** Puts a local file, link or, with `recursive`, directory at `target`. */
export async function put(
  session: Session,
  source: string,
  target: Address,
  recursive: boolean,
): Promise<void> {
  const info = await doing("read", source, () => Deno.lstat(source));
  const kind = info.isSymlink && !recursive
    ? await doing("read", source, () => Deno.stat(source))
    : info;
  if (kind.isSymlink) return await putLink(session, source, target);
  if (kind.isDirectory) {
    if (!recursive) throw new CommandError(`Cannot put ${source}: it is a directory; use -r`);
    await putTree(session, source, target, kind.mode ?? 0o755);
    return;
  }
  if (!kind.isFile && recursive) {
    throw new CommandError(`Cannot put ${source}: it is neither file, directory nor link`);
  }
  session.progress.file(lastName(source), kind.size);
  using file = await doing("read", source, () => Deno.open(source));
  await putContent(session, file, target, (kind.mode ?? 0o644) & PERMISSIONS);
}

async function putLink(session: Session, source: string, target: Address): Promise<void> {
  const to = await doing("read", source, () => Deno.readLink(source));
  const volume = await session.volume(target);
  await doing("put", target.text, async () => {
    const part = directoryOf(target.path) + temporary(session, lastName(target.path));
    await volume.symlink(to, part);
    await volume.rename(part, target.path).catch(async (error) => {
      await volume.unlink(part).catch(ignoreFop);
      throw error;
    });
  });
}

async function putTree(
  session: Session,
  source: string,
  target: Address,
  mode: number,
): Promise<void> {
  const volume = await session.volume(target);
  await doing("make directory", target.text, async () => {
    if (await isDirectoryAt(volume, target.path)) return;
    await volume.mkdir(target.path, { mode: mode & PERMISSIONS });
  });
  const entries = await doing("read", source, () => Array.fromAsync(Deno.readDir(source)));
  for (const { name } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    session.check();
    await put(session, `${source}/${name}`, inside(target, name), true);
  }
}

/** True if `path` leads to a directory of the volume. */
export async function isDirectoryAt(volume: Volume, path: string): Promise<boolean> {
  return await volume.exists(path) && isDirectory(await volume.stat(path));
}

/** Sends a file to standard output. */
export async function cat(session: Session, source: Address): Promise<void> {
  const volume = await session.volume(source);
  await doing("read", source.text, async () => {
    await volume.using(source.path, {}, async (file) => {
      for await (const chunk of file.chunks()) {
        session.check();
        await say(chunk);
      }
    });
  });
}

/** Gets a file, or, with `recursive`, a directory as the local path `target`. */
export async function get(
  session: Session,
  source: Address,
  target: string,
  recursive: boolean,
): Promise<void> {
  const volume = await session.volume(source);
  const stat = await doing(
    "get",
    source.text,
    () => recursive ? volume.lstat(source.path) : volume.stat(source.path),
  );
  if (isDirectory(stat)) {
    if (!recursive) throw new CommandError(`Cannot get ${source.text}: it is a directory; use -r`);
    await getTree(session, volume, source, target, stat.mode);
    return;
  }
  if (isSymlink(stat)) return await getLink(session, volume, source, target);
  if (!isRegular(stat)) {
    throw new CommandError(`Cannot get ${source.text}: it is neither file, directory nor link`);
  }
  session.progress.file(lastName(source.path), stat.size);
  await doing("get", source.text, async () => {
    await volume.using(
      source.path,
      {},
      (file) =>
        intoPlace(session, target, stat.mode & PERMISSIONS, async (to) => {
          let got = 0;
          for await (const chunk of file.chunks()) {
            session.check();
            for (let at = 0; at < chunk.length;) at += await to.write(chunk.subarray(at));
            got += chunk.length;
            session.progress.add(chunk.length);
          }
          if (got < stat.size) {
            throw new CommandError(
              `Cannot get ${source.text}: ${got} of ${stat.size} bytes came; it changed meanwhile`,
            );
          }
        }),
    );
  });
}

// Writes a local file under a temporary name, or straight into what is no file (a pipe, a device).
async function intoPlace(
  session: Session,
  target: string,
  mode: number,
  write: (to: Deno.FsFile) => Promise<void>,
): Promise<void> {
  await doing("write", target, async () => {
    const there = await localInfo(target);
    if (there && !there.isFile && !there.isDirectory) {
      using to = await Deno.open(target, { write: true });
      return await write(to);
    }
    const part = directoryOf(target) + temporary(session, lastName(target));
    try {
      {
        using to = await Deno.open(part, { write: true, createNew: true, mode });
        await write(to);
        await to.syncData();
      }
      await Deno.rename(part, target);
    } catch (error) {
      await Deno.remove(part).catch(() => {});
      throw error;
    }
  });
}

/** What is at a local path, links followed; undefined if nothing is. */
export async function localInfo(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function getLink(
  session: Session,
  volume: Volume,
  source: Address,
  target: string,
): Promise<void> {
  const to = await doing("get", source.text, () => volume.readlink(source.path));
  await doing("write", target, async () => {
    const part = directoryOf(target) + temporary(session, lastName(target));
    await Deno.symlink(to, part);
    await Deno.rename(part, target).catch(async (error) => {
      await Deno.remove(part);
      throw error;
    });
  });
}

async function getTree(
  session: Session,
  volume: Volume,
  source: Address,
  target: string,
  mode: number,
): Promise<void> {
  await doing("make directory", target, async () => {
    if (!(await localInfo(target))?.isDirectory) await Deno.mkdir(target, { mode: 0o700 });
  });
  const entries = await doing(
    "list",
    source.text,
    () => Array.fromAsync(volume.readDir(source.path)),
  );
  for (const { name } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    session.check();
    await get(session, inside(source, name), `${target}/${name}`, true);
  }
  await doing("write", target, () => Deno.chmod(target, mode & PERMISSIONS));
}

function ignoreFop(error: unknown): void {
  if (!(error instanceof FopError)) throw error;
}
