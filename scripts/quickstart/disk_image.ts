/** A virtual machine's disk made from nothing, without root: a file system with one file to look at. */

/** A disk image as a file. */
export interface DiskImage {
  readonly bytes: number;
  /** Where the text begins: a multiple of 512. */
  readonly textAt: number;
  /** The command that prints the text of an image. */
  readonly look: (image: string) => readonly string[];
}

/** $PATH, and where Debian's users find no programs. */
export const WITH_SBIN = `${Deno.env.get("PATH")}:/usr/sbin:/sbin`;

const BYTES = 64 << 20, SECTOR = 512;
/** Where the first partition begins, as fdisk(8) has it. */
const PARTITION_AT = 1 << 20;
const FILE = "/etc/motd";

/** Makes the image `path`: an ext4 file system that has `text` as /etc/motd, where mke2fs is there. */
export async function makeDiskImage(path: string, text: string): Promise<DiskImage> {
  await Deno.writeTextFile(path, "");
  await Deno.truncate(path, BYTES);
  try {
    return await withExt4(path, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return await withPartition(path, text);
  }
}

async function withExt4(path: string, text: string): Promise<DiskImage> {
  const tree = await Deno.makeTempDir({ prefix: "mortar-tree-" });
  try {
    await Deno.mkdir(`${tree}/etc`);
    await Deno.writeTextFile(`${tree}${FILE}`, text);
    const made = await new Deno.Command("mke2fs", {
      args: ["-q", "-t", "ext4", "-F", "-d", tree, path],
      env: { PATH: WITH_SBIN },
    }).output();
    if (!made.success) throw new Error(`mke2fs: ${new TextDecoder().decode(made.stderr).trim()}`);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
  const look = (image: string) => ["debugfs", "-R", `cat ${FILE}`, image];
  return { bytes: BYTES, textAt: await sectorWith(path, text), look };
}

/** A partition table with one partition, which begins with the text. */
async function withPartition(path: string, text: string): Promise<DiskImage> {
  const table = new Uint8Array(SECTOR), view = new DataView(table.buffer);
  const LINUX = 0x83, entry = 446;
  view.setUint8(entry + 4, LINUX);
  view.setUint32(entry + 8, PARTITION_AT / SECTOR, true);
  view.setUint32(entry + 12, (BYTES - PARTITION_AT) / SECTOR, true);
  view.setUint16(510, 0xaa55, true);
  using file = await Deno.open(path, { write: true });
  await file.write(table);
  await file.seek(PARTITION_AT, Deno.SeekMode.Start);
  await file.write(new TextEncoder().encode(text));
  const part = ["bs=1", `skip=${PARTITION_AT}`, `count=${text.length}`, "status=none"];
  const look = (image: string) => ["dd", `if=${image}`, ...part];
  return { bytes: BYTES, textAt: PARTITION_AT, look };
}

async function sectorWith(path: string, text: string): Promise<number> {
  const all = await Deno.readFile(path), wanted = new TextEncoder().encode(text);
  for (let at = 0; at < all.length; at += SECTOR) {
    if (wanted.every((byte, i) => all[at + i] === byte)) return at;
  }
  throw new Error(`${path} does not have the text`);
}
