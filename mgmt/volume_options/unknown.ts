/** What to say of an option that there is not. */

import { nearest } from "mgmt/cli/words.ts";
import { familyOf, VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";

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
  const family = all.filter((each) => familyOf(each) === familyOf(key));
  // With a family that there is, only what follows can be wrong.
  const inFamily = family.find((each) => nameOf(each) === nearest(nameOf(key), family.map(nameOf)));
  if (family.length) return inFamily === undefined ? [] : [inFamily];
  const near = key.includes(".") ? nearest(key, all) : nearest(key, all.map(nameOf));
  if (near === undefined) return [];
  return all.filter((each) => each === near || nameOf(each) === near);
}

function nameOf(key: string): string {
  return key.slice(key.indexOf(".") + 1);
}
