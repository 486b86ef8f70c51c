/** `snapshot diff`: what changed between two snapshots, or since one. */

import { keyword, managed, operand, Refusal } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { shownName, table, typeName } from "mgmt/file/listing.ts";
import { type Compared, comparedOf, NOW } from "mgmt/snapshots/compared.ts";
import { diffOf, type PathChange } from "mgmt/snapshots/diff.ts";
import { OrderFailed } from "mgmt/snapshots/history_brick.ts";
import { fileChanges } from "mgmt/snapshots/file_changes.ts";

/** What two states of a volume differ in. */
export type SnapshotDiff = {
  readonly old: string;
  /** "-": as it is now. */
  readonly new: string;
  readonly volume: string;
  /** By path; null: it is about one file. */
  readonly changes: readonly ShownChange[] | null;
  readonly file: ChangedFile | null;
};

/** A path that is not what it was; see `PathChange`. */
export type ShownChange = Omit<PathChange, "type"> & { readonly type: string };

/** What changed of one file. */
export type ChangedFile = {
  readonly path: string;
  readonly oldSize: number;
  readonly newSize: number;
  /** In order: [byte, bytes]. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Of all of these. */
  readonly bytes: number;
  /** There is more from this byte on; null: that is all. */
  readonly next: number | null;
};

/** Ranges of one answer. */
const RANGES_MAX = 500_000;

// An option in its place is none, but "-" is.
function state(word: string): string {
  if (word.startsWith("-") && word !== NOW) {
    throw new RangeError("expected a snapshot, or - for now");
  }
  return word;
}

function byte(word: string): number {
  const value = Number(word);
  if (!/^\d+$/.test(word) || !Number.isSafeInteger(value)) {
    throw new RangeError("expected a byte's number");
  }
  return value;
}

/** See the head of this file. */
export const snapshotDiff = managed({
  path: "snapshot diff",
  summary: "Snapshot Diff.",
  description: [
    "Told are paths that were added, removed or renamed, and files and directories whose data or " +
    "attributes were changed, from what bricks noted: it takes as long as much was touched, whatever " +
    "the volume holds. Data that was written and is as it was counts as changed.",
    "With --file the changed ranges of that file, in bytes. Snapshots of a file tell of that file.",
  ],
  args: {
    old: operand("<OLD>", {
      help: "Name of the older snapshot.",
      offers: "snapshot",
      parse: state,
    }),
    new: operand(`<NEW>|${NOW}`, {
      help: `Name of the newer one; ${NOW} is the volume as it is now.`,
      offers: "snapshot",
      parse: state,
    }),
    file: keyword("--file", "<PATH>", { help: "Only this file, by its path in the volume." }),
    from: keyword("--from", "<BYTE>", {
      help: "With --file: ranges from there on, where an answer before ended.",
      parse: byte,
    }),
  },
  scope: "nothing",
  localOnly: true,
  rest: "GET /snapshots/{old}/diff/{new}",
  examples: [
    { what: "What changed since last night", line: "mortar snapshot diff nightly -" },
    {
      what: "Which parts of an image a backup has to copy",
      line: "mortar snapshot diff monday tuesday --file /images/vm1.img --json",
    },
  ],
  async apply(cluster, { old, new: now, file, from }): Promise<SnapshotDiff> {
    const compared = await comparedOf(cluster, old, now);
    const what = { old, new: now, volume: compared.volume.name };
    try {
      return file === undefined && !compared.file
        ? { ...what, changes: await changesOf(compared), file: null }
        : { ...what, changes: null, file: await fileOf(compared, file, from ?? 0) };
    } catch (error) {
      if (error instanceof OrderFailed) throw new Refusal(`Cannot compare: ${error.message}`);
      throw error;
    }
  },
  text: ({ old, new: now, changes, file }) =>
    file ? fileText(file) : changes!.length ? changesText(changes!) : nothingText(old, now),
  xml: ({ old, new: now, volume, changes, file }) => [
    element("snapDiff", [
      ...[element("old", old), element("new", now), element("volume", volume)],
      ...changes ? [element("count", changes.length), ...changes.map(changeXml)] : [],
      ...file ? [fileXml(file)] : [],
    ]),
  ],
  failed: (message) => `snapshot diff: failed: ${message}`,
  closing: "Snapshot command failed\n",
});

async function changesOf(compared: Compared): Promise<ShownChange[]> {
  const changes = await diffOf(compared);
  return changes.map(({ type: mode, ...change }) => ({ ...change, type: typeName({ mode }) }));
}

async function fileOf(
  compared: Compared,
  path: string | undefined,
  from: number,
): Promise<ChangedFile> {
  const found = await fileChanges(compared, path, from);
  const ranges: [number, number][] = [];
  let bytes = 0, next: number | null = null;
  for await (const { offset, length } of found.ranges) {
    if (ranges.length === RANGES_MAX) {
      next = offset;
      break;
    }
    ranges.push([offset, length]);
    bytes += length;
  }
  const { path: shown, oldSize, nowSize: newSize } = found;
  return { path: shown, oldSize, newSize, ranges, bytes, next };
}

function nothingText(old: string, now: string): string {
  return `Nothing changed between ${old} and ${now === NOW ? "now" : now}\n`;
}

function changesText(changes: readonly ShownChange[]): string {
  return table([
    ["Change", "Type", "What", "Path"],
    ...changes.map(({ path, kind, type, from, data, attributes }) => [
      kind,
      type,
      [...data ? ["data"] : [], ...attributes ? ["attributes"] : []].join(", ") || "-",
      from === null ? shownName(path) : `${shownName(from)} -> ${shownName(path)}`,
    ]),
  ], []);
}

function fileText({ path, oldSize, newSize, ranges, bytes, next }: ChangedFile): string {
  const size = oldSize === newSize
    ? `it has ${newSize} bytes`
    : `it had ${oldSize} bytes and has ${newSize}`;
  const rows = ranges.map(([offset, length]) => [String(offset), String(length)]);
  return table([["Offset", "Length"], ...rows], [0, 1]) +
    `${ranges.length} range${ranges.length === 1 ? "" : "s"}, ${bytes} bytes of ` +
    `${shownName(path)} changed; ${size}\n` +
    (next === null ? "" : `There is more: add --from ${next}\n`);
}

function changeXml({ path, kind, type, from, data, attributes }: ShownChange) {
  return element("change", [
    ...[element("kind", kind), element("type", type), element("path", shownName(path))],
    ...from === null ? [] : [element("from", shownName(from))],
    ...[element("data", data ? 1 : 0), element("attributes", attributes ? 1 : 0)],
  ]);
}

function fileXml({ path, oldSize, newSize, ranges, bytes, next }: ChangedFile) {
  return element("file", [
    ...[element("path", shownName(path)), element("oldSize", oldSize), element("newSize", newSize)],
    ...[element("bytes", bytes), element("count", ranges.length)],
    ...ranges.map(([offset, length]) =>
      element("range", [element("offset", offset), element("length", length)])
    ),
    ...next === null ? [] : [element("next", next)],
  ]);
}
