/** Images made and judged by QEMU's own programs, for tests. */

import { type Image, openImage, type OpenOptions } from "snapshot/qcow2/image.ts";
import type { Disk } from "snapshot/qcow2/disk.ts";
import { LocalFile, openLocalFile } from "snapshot/qcow2/local_file.ts";
import { LocalResolver } from "snapshot/qcow2/resolve.ts";
import { hasProgram } from "tests/fakes/programs.ts";
import { seeded } from "tests/fakes/seeded.ts";

/** QEMU's tools are installed. */
export const QEMU = hasProgram("qemu-img") && hasProgram("qemu-io");

/**
 * Runs `body` with a folder of its own, removed afterwards; in memory where that can be had, since
 * what is tested flushes often.
 */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const memory = "/dev/shm";
  const dir = await Deno.stat(memory).then(() => memory, () => undefined);
  const folder = await Deno.makeTempDir({ prefix: "qc-", ...dir ? { dir } : {} });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a program in `folder`; answers its output, or throws what it complained about. */
export async function run(folder: string, program: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: folder })
    .output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)} ${text}`);
}

/**
 * `qemu-io` with these commands, as one process. `write -s noise` writes bytes that differ from place
 * to place.
 */
export async function io(
  folder: string,
  image: string,
  commands: readonly string[],
): Promise<string> {
  // No power of two, so that it does not repeat from cluster to cluster.
  const noise = new Uint8Array(60_001), random = seeded(60_001);
  for (let at = 0; at < noise.length; at++) noise[at] = random(256);
  await Deno.writeFile(`${folder}/noise`, noise);
  return await run(folder, "qemu-io", [...commands.flatMap((each) => ["-c", each]), image]);
}

/** The commands for `count` random writes, zero writes and discards on a disk of `size` bytes. */
export function randomWrites(
  random: (below: number) => number,
  size: number,
  count: number,
  most = 200_000,
): string[] {
  return Array.from({ length: count }, () => {
    const offset = random(Math.floor(size / 512)) * 512;
    const length = Math.min(512 * (1 + random(Math.ceil(most / 512))), size - offset);
    const kind = random(10);
    if (kind < 5) return `write -q -s noise ${offset} ${length}`;
    if (kind < 7) return `write -q -P ${1 + random(255)} ${offset} ${length}`;
    if (kind === 7) return `write -q -z ${offset} ${length}`;
    if (kind === 8) return `write -q -z -u ${offset} ${length}`;
    return `discard -q ${offset} ${length}`;
  });
}

/** Opens `name` in `folder`, its chain in the same folder. */
export async function openIn(
  folder: string,
  name: string,
  options: OpenOptions = {},
): Promise<Image> {
  const resolver = new LocalResolver(folder);
  try {
    const file = await resolver.open(name, "", { writable: options.writable ?? false });
    return await openImage(file, { resolver, ...options });
  } finally {
    resolver.close();
  }
}

/**
 * Where `disk` first differs from the plain file at `path`, or -1; read in pieces of many sizes, and
 * what is called a hole or zero is compared with zeros.
 */
export async function firstDifference(disk: Disk, path: string): Promise<number> {
  const file: LocalFile = openLocalFile(path);
  try {
    const size = await file.size();
    if (size !== disk.size) throw new Error(`the disk has ${disk.size} bytes, the file ${size}`);
    const sizes = [65536, 512, 262144, 777, 1 << 20, 4096];
    for (let at = 0, turn = 0; at < size; turn++) {
      const length = Math.min(sizes[turn % sizes.length]!, size - at);
      const ours = new Uint8Array(length), theirs = new Uint8Array(length);
      await disk.read(at, ours);
      await file.read(at, theirs);
      const wrong = differsAt(ours, theirs);
      if (wrong >= 0) return at + wrong;
      at += length;
    }
    return await extentsDiffer(disk, file, size);
  } finally {
    await file.close();
  }
}

/** The first place where two arrays differ, or -1. */
export function differsAt(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return at;
  return -1;
}

async function extentsDiffer(disk: Disk, file: LocalFile, size: number): Promise<number> {
  let at = 0;
  for await (const { offset, length, kind } of disk.extents(0, size)) {
    if (offset !== at || length <= 0) throw new Error(`an extent at ${offset}, not at ${at}`);
    at += length;
    if (kind === "data") continue;
    const bytes = new Uint8Array(length);
    await file.read(offset, bytes);
    const wrong = bytes.findIndex((byte) => byte !== 0);
    if (wrong >= 0) return offset + wrong;
  }
  if (at !== size) throw new Error(`extents end at ${at} of ${size}`);
  return -1;
}
