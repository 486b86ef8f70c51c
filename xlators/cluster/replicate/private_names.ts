/**
 * Names in the volume's root that are healers' own, of GlusterFS's and of ours: clients neither show nor
 * find them, and they are not healed as names.
 */

import { type Gfid, type Inode, parseGfid, ROOT_GFID } from "core/inode.ts";

const ANONYMOUS = ".glusterfs-anonymous-inode-";
const LANDFILL = ".landfill";

/** True if `name` in `parent` is one. */
export function isPrivate(parent: Pick<Inode, "gfid">, name: string): boolean {
  return parent.gfid === ROOT_GFID && (name === LANDFILL || name.startsWith(ANONYMOUS));
}

/** The directory of files that have no name at present, whichever healer moves them. */
export interface AnonymousDirectory {
  readonly name: string;
  readonly gfid: Gfid;
}

/** That of a volume; undefined if `volumeId` is none. GlusterFS derives both from the volume's id. */
export function anonymousDirectory(volumeId: string): AnonymousDirectory | undefined {
  const id = parseGfid(volumeId);
  if (!id) return undefined;
  const first = (parseInt(id.slice(0, 2), 16) ^ 1).toString(16).padStart(2, "0");
  return { name: ANONYMOUS + volumeId, gfid: parseGfid(first + id.slice(2))! };
}
