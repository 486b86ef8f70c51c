/**
 * What a brick's directory itself tells of the volume it belongs to, for adoption where no state
 * directory is left: the volume's id, and the names of clients that pending marks blame.
 */

import { exists } from "core/lib/files.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { nextClientAfter } from "mgmt/adoption.ts";

/** What a directory that may be a brick tells. */
export interface BrickFindings {
  readonly path: string;
  /** trusted.glusterfs.volume-id; undefined: not (or no longer) of a volume. */
  readonly volumeId: string | undefined;
  /** It has `.glusterfs`, where GlusterFS keeps handles: files were served from it. */
  readonly hasHandles: boolean;
  /**
   * Clients "VOLUME-client-N" that changelogs in the root and its first entries name: those of the
   * other bricks of its set, as far as they were ever blamed.
   */
  readonly clientNames: readonly string[];
}

const ENTRIES_MAX = 1000;
const VOLUME_ID = "trusted.glusterfs.volume-id";
const PENDING = /^trusted\.afr\.([A-Za-z0-9_-]+-client-\d{1,9})$/;

/**
 * Looks at a brick's directory; changes nothing. Extended attributes "trusted." are shown to root
 * only: others find no volume id. Throws RangeError, a line for people, if it is no directory.
 */
export async function readBrickDirectory(path: string): Promise<BrickFindings> {
  const names = new Set<string>();
  let hasHandles = false;
  try {
    namedClients(path, names);
    let left = ENTRIES_MAX;
    for await (const entry of Deno.readDir(path)) {
      if (entry.name === ".glusterfs") hasHandles = entry.isDirectory;
      else namedClients(`${path}/${entry.name}`, names);
      if (--left === 0) break;
    }
    if (!hasHandles) hasHandles = (await Deno.lstat(`${path}/.glusterfs`)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) {
      throw new RangeError(`Cannot adopt "${path}": it is no directory`);
    }
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    if (!exists(path)) throw new RangeError(`Cannot adopt "${path}": it is not there`);
  }
  return { path, volumeId: volumeIdOf(path), hasHandles, clientNames: [...names].sort() };
}

/** The names that a volume's bricks have in client volfiles, and the number of the next one. */
export interface ClientNames {
  readonly names: readonly string[];
  readonly nextClient: number;
}

/**
 * Names of the clients of bricks in their order, where no state directory tells: VOLUME-client-0
 * and so on, as GlusterFS names the bricks of a volume that never lost or gained one. Throws
 * RangeError if marks on the bricks name others: then the order or the names are not those, and
 * healing would blame the wrong brick.
 */
export function clientNamesByOrder(
  volume: string,
  bricks: readonly BrickFindings[],
  setSize: number,
): ClientNames {
  const names = bricks.map((_, index) => `${volume}-client-${index}`);
  for (const [index, { path, clientNames }] of bricks.entries()) {
    const first = index - index % setSize;
    const set = names.slice(first, first + setSize);
    // A brick blames others, never itself.
    const other = clientNames.find((name) => !set.includes(name) || name === names[index]);
    if (other !== undefined) {
      const others = set.filter((name) => name !== names[index]).join(", ") || "no other brick";
      throw new RangeError(
        `Cannot adopt "${path}": its files blame ${other}, which is not ${others}; give the ` +
          "bricks in their old order and the volume its old name, or the state directory of " +
          "GlusterFS with --state",
      );
    }
  }
  return { names, nextClient: nextClientAfter(names) };
}

function volumeIdOf(path: string): string | undefined {
  const UUID_SIZE = 16;
  const id = new Uint8Array(UUID_SIZE);
  if (sys.lgetxattr(cstring(path), cstring(VOLUME_ID), id, UUID_SIZE) !== UUID_SIZE) {
    return undefined;
  }
  const digits = id.toHex();
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function namedClients(path: string, names: Set<string>): void {
  const NAMES_BYTES_MAX = 65536;
  const list = new Uint8Array(NAMES_BYTES_MAX);
  const size = sys.llistxattr(cstring(path), list, NAMES_BYTES_MAX);
  if (size <= 0) return;
  for (const name of new TextDecoder().decode(list.subarray(0, size)).split("\0")) {
    const client = PENDING.exec(name)?.[1];
    if (client) names.add(client);
  }
}
