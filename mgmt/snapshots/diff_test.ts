import { deepStrictEqual as deepEqual } from "node:assert/strict";
import type { ChangedInode, ChangedName, InodeFacts, NameIn } from "core/history_orders.ts";
import { S_IFDIR, S_IFREG } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { diffOf, type PathChange, type Telling } from "mgmt/snapshots/diff.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** What one brick of a set would say. */
interface Said {
  readonly inodes?: readonly ChangedInode[];
  readonly names?: readonly ChangedName[];
  readonly called?: Called;
}

/** What inodes are called, in the old state and now. */
type Called = Readonly<Record<string, readonly [old: readonly NameIn[], now: readonly NameIn[]]>>;

const OLD = { id: "old" } as SnapshotRecord;

function gfid(letter: string): Gfid {
  return `${letter.repeat(8)}-0000-4000-8000-000000000000` as Gfid;
}

const file: InodeFacts = { mode: S_IFREG | 0o644, nlink: 1, size: 5, isLinkFile: false };
const directory: InodeFacts = { mode: S_IFDIR | 0o755, nlink: 2, size: 0, isLinkFile: false };
const pointer: InodeFacts = { mode: S_IFREG | 0o1000, nlink: 1, size: 0, isLinkFile: true };

function inode(
  letter: string,
  old: InodeFacts | undefined,
  now: InodeFacts | undefined,
  flags: Partial<ChangedInode> = {},
): ChangedInode {
  const none = { data: false, attributes: false, internals: false, times: false };
  return { gfid: gfid(letter), old, now, ...none, ...flags };
}

function name(name: string, old: string, now: string, parent = ROOT_GFID): ChangedName {
  const of = (letter: string) => letter === "" ? undefined : gfid(letter);
  return { parent, name, old: of(old), now: of(now) };
}

/** A brick that tells in pages of one row. */
function brick({ inodes = [], names = [], called = {} }: Said): Telling {
  return {
    changes(_old, _now, after) {
      const at = Number(after || 0), next = at + 1;
      return Promise.resolve({
        inodes: inodes.slice(at, next),
        names: names.slice(Math.max(0, at - inodes.length), Math.max(0, next - inodes.length)),
        next: next < inodes.length + names.length ? String(next) : undefined,
      });
    },
    names(reader, gfids) {
      const side = reader === undefined ? 1 : 0;
      return Promise.resolve(gfids.map((gfid) => called[gfid]?.[side] ?? []));
    },
  };
}

async function lines(...said: readonly Said[]): Promise<string[]> {
  const told = await diffOf({ old: OLD, now: undefined, sets: said.map((each) => [brick(each)]) });
  return told.map(lineOf);
}

function lineOf({ kind, path, from, data, attributes }: PathChange): string {
  const what = `${data ? " data" : ""}${attributes ? " attributes" : ""}`;
  return `${kind} ${from === null ? "" : `${from} -> `}${path}${what}`;
}

const at = (name: string, parent = ROOT_GFID): NameIn => ({ parent, name });

Deno.test("mgmt/snapshots: paths that came, went, moved and changed are told in order", async () => {
  const called: Called = {
    [gfid("d")]: [[at("was")], [at("is")]],
    [gfid("c")]: [[at("c", gfid("d"))], [at("c", gfid("d"))]],
  };
  deepEqual(
    await lines({
      inodes: [
        inode("d", directory, directory, { times: true }),
        inode("c", file, file, { data: true, times: true }),
        inode("a", undefined, file),
        inode("b", file, undefined),
      ],
      names: [
        name("was", "d", ""),
        name("is", "", "d"),
        name("a", "", "a", gfid("d")),
        name("b", "b", "", gfid("d")),
      ],
      called,
    }),
    ["renamed /was -> /is", "added /is/a", "changed /is/c data", "removed /was/b"],
  );
});

Deno.test("mgmt/snapshots: a directory's own time is told, unless names in it changed", async () => {
  const called: Called = { [gfid("d")]: [[at("d")], [at("d")]] };
  const inodes = [inode("d", directory, directory, { times: true })];
  deepEqual(await lines({ inodes, called }), ["changed /d attributes"]);
  const names = [name("a", "", "a", gfid("d"))];
  deepEqual(await lines({ inodes: [...inodes, inode("a", undefined, file)], names, called }), [
    "added /d/a",
  ]);
});

Deno.test("mgmt/snapshots: one more name, or one less, of a file that stays is told as that", async () => {
  const more = { inodes: [inode("a", file, file)], names: [name("second", "", "a")] };
  deepEqual(await lines(more), ["added /second"]);
  const less = { inodes: [inode("a", file, file)], names: [name("second", "a", "")] };
  deepEqual(await lines(less), ["removed /second"]);
  const changed: Said = {
    ...more,
    inodes: [inode("a", file, file, { data: true })],
    called: { [gfid("a")]: [[at("first")], [at("first"), at("second")]] },
  };
  deepEqual(await lines(changed), ["changed /first data", "added /second"]);
});

Deno.test("mgmt/snapshots: pointers of distribute are no files, and a directory is told once", async () => {
  const root = inode("f", directory, directory, { attributes: true });
  const called: Called = { [gfid("f")]: [[at("dir")], [at("dir")]] };
  const names = [name("new", "", "a", gfid("f"))];
  deepEqual(
    await lines(
      { inodes: [root, inode("a", undefined, file)], names, called },
      { inodes: [root, inode("a", undefined, pointer)], names, called },
    ),
    ["changed /dir attributes", "added /dir/new"],
  );
  const renamed = [name("a", "a", ""), name("b", "", "a")];
  deepEqual(
    await lines(
      { inodes: [inode("a", file, file)], names: renamed },
      { inodes: [inode("a", undefined, pointer)], names: [name("b", "", "a")] },
    ),
    ["renamed /a -> /b"],
  );
});

Deno.test("mgmt/snapshots: a file that was moved to other bricks is one that changed", async () => {
  const called: Called = { [gfid("a")]: [[at("a")], [at("a")]] };
  deepEqual(
    await lines(
      { inodes: [inode("a", file, pointer, { data: true })], called },
      { inodes: [inode("a", undefined, file)], names: [name("a", "", "a")], called },
    ),
    ["changed /a data"],
  );
});

Deno.test("mgmt/snapshots: what one copy missed another one tells", async () => {
  const copies = [{}, {
    inodes: [inode("a", file, undefined), inode("b", undefined, file)],
    names: [name("a", "a", ""), name("b", "", "b")],
  }].map(brick);
  const told = await diffOf({ old: OLD, now: undefined, sets: [copies] });
  deepEqual(told.map(lineOf), ["removed /a", "added /b"]);
});

Deno.test("mgmt/snapshots: what was touched and is as it was is not told; without a name its gfid is", async () => {
  deepEqual(await lines({ inodes: [inode("a", file, file)] }), []);
  deepEqual(await lines({ inodes: [inode("a", file, file, { times: true })] }), [
    `changed <gfid:${gfid("a")}> attributes`,
  ]);
});
