/** What to say of an option that there is not. */

import { nearest } from "mgmt/cli/words.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";

/** What follows "… does not exist": the option that was meant, or where all are listed. */
export function hint(key: string): string {
  const meant = meantBy(key);
  return meant.length
    ? `\nDid you mean ${meant.join(" or ")}?`
    : '; "volume set help" lists the options';
}

function meantBy(key: string): readonly string[] {
  const all = [...VOLUME_OPTIONS.keys()];
  // A name without its family that several families have.
  const same = all.filter((each) => nameOf(each) === key);
  if (same.length) return same;
  const near = nearest(key, all) ??
    (key.includes(".") ? undefined : nearest(key, all.map(nameOf)));
  if (near === undefined) return [];
  return VOLUME_OPTIONS.has(near) ? [near] : all.filter((each) => nameOf(each) === near);
}

function nameOf(key: string): string {
  return key.slice(key.indexOf(".") + 1);
}
