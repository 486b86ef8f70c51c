/** Names that people give to things. */

import { Refusal } from "mgmt/cli/managed.ts";

/** Longest name of a volume (GlusterFS's GD_VOLUME_NAME_MAX). */
const VOLUME_NAME_MAX = 251;
/** Words of the command line, which a volume's name would be taken for. */
const RESERVED = new Set([
  "volume",
  "type",
  "subvolumes",
  "option",
  "end-volume",
  "all",
  "volume_not_in_ring",
  "description",
  "force",
  "snap-max-hard-limit",
  "snap-max-soft-limit",
  "auto-delete",
  "activate-on-create",
]);

/** Whether a volume can have that name: other texts need not be looked for. */
export function isVolumeName(name: string): boolean {
  return name.length <= VOLUME_NAME_MAX && /^[A-Za-z0-9_-]+$/.test(name);
}

/** `name`, if a new volume may have it. Throws Refusal. */
export function newVolumeName(name: string): string {
  if (RESERVED.has(name)) {
    throw new Refusal(`"${name}" cannot be the name of a volume; it is a word of commands`);
  }
  if (name.length > VOLUME_NAME_MAX) {
    throw new Refusal(`Volume name exceeds ${VOLUME_NAME_MAX} characters.`);
  }
  const wrong = /[^A-Za-z0-9_-]/u.exec(name)?.[0];
  if (wrong !== undefined) {
    throw new Refusal(
      `Volume name should not contain "${wrong}" character.\n` +
        "Volume names can only contain alphanumeric, '-' and '_' characters.",
    );
  }
  if (name === "" || name.startsWith("-")) {
    throw new Refusal("Volume name should begin with an alphanumeric character or '_'.");
  }
  return name;
}
