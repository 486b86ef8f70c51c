import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { fromHex } from "core/lib/bytes.ts";
import {
  EXECUTE,
  inherit,
  type Owned,
  parseAcl,
  permits,
  printAcl,
  READ,
  WRITE,
} from "xlators/features/access-control/acl.ts";

const as = (uid: number, ...gids: number[]): Call => ({
  ...ROOT,
  uid,
  gid: gids[0] ?? uid,
  groups: gids.slice(1),
});

// setfacl -m u:7:rw,g:8:rx,m::rwx FILE; getfattr -e hex -n system.posix_acl_access FILE
const CAPTURED = "02000000" + "01000600ffffffff" + "0200060007000000" + "04000400ffffffff" +
  "0800050008000000" + "10000700ffffffff" + "20000400ffffffff";

Deno.test("features/access-control: a list as setfacl makes it reads, and prints as it was", () => {
  const acl = parseAcl(fromHex(CAPTURED))!;
  deepEqual(acl, {
    owner: 6,
    group: 4,
    other: 4,
    mask: 7,
    users: [{ id: 7, permissions: 6 }],
    groups: [{ id: 8, permissions: 5 }],
  });
  deepEqual(printAcl(acl), fromHex(CAPTURED));
});

Deno.test("features/access-control: bytes that are no list are none", () => {
  for (
    const hex of [
      "",
      "02000000",
      CAPTURED.slice(2),
      "03" + CAPTURED.slice(2),
      CAPTURED + "4000000000000000",
      CAPTURED.replace("01000600ffffffff", "0200060009000000"),
    ]
  ) {
    equal(parseAcl(fromHex(hex)), undefined, hex);
  }
});

Deno.test("features/access-control: of mode bits, exactly one class counts", () => {
  const file: Owned = { uid: 1, gid: 10, mode: 0o100047, acl: undefined };
  ok(!permits(as(1, 10), file, READ), "the owner, though others may");
  ok(permits(as(2, 10), file, READ));
  ok(!permits(as(2, 10), file, READ | WRITE), "the group, though others may");
  ok(permits(as(2, 20, 10), file, READ), "by a supplementary group");
  ok(permits(as(2, 20), file, READ | WRITE | EXECUTE));
});

Deno.test("features/access-control: named users and groups get no more than the mask", () => {
  const acl = parseAcl(fromHex(CAPTURED))!;
  const file: Owned = { uid: 1, gid: 10, mode: 0o100674, acl };
  ok(permits(as(7, 99), file, READ | WRITE));
  ok(!permits(as(7, 8), file, EXECUTE), "a named user is not looked for in groups");
  ok(permits(as(2, 8), file, READ | EXECUTE));
  ok(permits(as(2, 10, 8), file, EXECUTE), "one of two groups suffices");
  ok(!permits(as(2, 10, 8), file, WRITE), "a member does not count as other");
  ok(permits(as(2, 99), file, READ));
  const masked: Owned = { ...file, mode: 0o100644, acl: { ...acl, mask: 4 } };
  ok(!permits(as(7, 99), masked, WRITE));
  ok(permits(as(7, 99), masked, READ));
  ok(permits(as(1, 99), masked, READ | WRITE), "the owner is not masked");
});

Deno.test("features/access-control: a new file inherits the default list, cut by the mode it asked for", () => {
  const byDefault = parseAcl(fromHex(CAPTURED))!;
  const { acl, mode } = inherit(byDefault, 0o100640);
  equal(mode, 0o100640);
  deepEqual(acl, { ...byDefault, owner: 6, mask: 4, other: 0 });
  const minimal = { ...byDefault, mask: undefined, users: [], groups: [] };
  equal(inherit(minimal, 0o2777).mode, 0o2644);
});
