/**
 * What every graph that stores files must do, fop by fop: a named map of cases that any graph top
 * is run through in one line of its own test file:
 *
 *     conformance("storage/posix", async () => ({ top, inodes, call, stop }));
 *
 * Names are "group: what holds". A graph that lacks something says so: `{ without: ["locks"] }` leaves
 * a group out, a full name leaves out one case. Where file systems differ in the error they give,
 * a case accepts each that is right; it never accepts success, nor a change.
 */

import { attributes } from "tests/conformance/attributes.ts";
import { copies } from "tests/conformance/copies.ts";
import { creation } from "tests/conformance/creation.ts";
import { data } from "tests/conformance/data.ts";
import { directories } from "tests/conformance/directories.ts";
import { handles } from "tests/conformance/handles.ts";
import { locks } from "tests/conformance/locks.ts";
import { lookups } from "tests/conformance/lookups.ts";
import { names } from "tests/conformance/names.ts";
import { others } from "tests/conformance/others.ts";
import type { Case, Cases, Subject } from "tests/conformance/place.ts";
import { ranges } from "tests/conformance/ranges.ts";
import { answers } from "tests/conformance/answers.ts";
import { xattrops } from "tests/conformance/xattrops.ts";
import { xattrCases } from "tests/conformance/xattrs.ts";

const GROUPS = {
  lookup: lookups,
  create: creation,
  names,
  data,
  ranges,
  copies,
  handles,
  attributes,
  xattrs: xattrCases,
  xattrop: xattrops,
  directories,
  answers,
  others,
  locks,
} as const satisfies Record<string, Cases>;

/** A kind of cases that a graph may be without. */
export type Group = keyof typeof GROUPS;

/** Every case by its full name. */
export const CONFORMANCE: Readonly<Record<string, Case>> = Object.fromEntries(
  Object.entries(GROUPS).flatMap(([group, cases]) =>
    Object.entries(cases).map(([name, run]) => [`${group}: ${name}`, run])
  ),
);

/** Cases that only the superuser can pass on a real disk: they give files away, make devices, … */
const NEEDS_ROOT: ReadonlySet<string> = new Set([
  "create: mknod of devices answers major and minor",
  "create: the caller owns what it makes",
  "create: a setgid directory gives its group, and its bit to directories",
  "handles: an unlinked open file's attributes are read and changed",
  "attributes: setattr changes owner and group, each alone",
  "attributes: setattr works on directories and does not touch what is in them",
  "attributes: setattr on a symbolic link changes the link, not its target",
  "attributes: fsetattr changes mode, owner and times",
  "xattrs: values of files come back as they were set",
]);

/** What a graph lacks. */
export interface ConformanceOptions {
  /** Groups and full names of cases that do not apply. */
  readonly without?: readonly (Group | `${Group}: ${string}`)[];
  /** All cases are ignored, as where the tests are not run by root. */
  readonly ignore?: boolean;
  /** The graph stores on this machine's disk: cases that need root are ignored without it. */
  readonly onDisk?: boolean;
}

/**
 * Registers one test per case. `make` starts the graph that all of them use, each in a directory of
 * its own: starting a brick takes longer than a case. It is stopped when the file's tests are done.
 */
export function conformance(
  where: string,
  make: () => Promise<Subject>,
  { without = [], ignore = false, onDisk = false }: ConformanceOptions = {},
): void {
  for (const each of [...without, ...NEEDS_ROOT]) {
    if (!(each in GROUPS) && !(each in CONFORMANCE)) {
      throw new RangeError(`Cannot leave out "${each}": no such conformance group or case`);
    }
  }
  let subject: Subject | undefined;
  if (!ignore) {
    Deno.test.beforeAll(async () => {
      subject = await make();
    });
    Deno.test.afterAll(async () => await subject?.stop());
  }
  for (const [name, run] of Object.entries(CONFORMANCE)) {
    const group = name.slice(0, name.indexOf(":"));
    if (without.some((each) => each === group || each === name)) continue;
    const lacksRoot = onDisk && NEEDS_ROOT.has(name) && Deno.uid() !== 0;
    Deno.test(`${where}: ${name}`, { ignore: ignore || lacksRoot }, () => run(subject!));
  }
}
