import { notStrictEqual as differs, strictEqual as equal } from "node:assert/strict";
import type { Gfid } from "core/inode.ts";
import { SNAPSHOTS_GFID, viewGfid, viewKey, viewRoot } from "core/view_gfid.ts";

Deno.test("core: gfids of views lead back to those of files, and are the same wherever they are made", () => {
  const gfid = "0b9bb7b6-37b6-4cc1-b0a7-1f7c2ff2a8b4" as Gfid;
  const one = viewKey("6c16648c-78a8-4e52-8cfb-ad295ebf2258"), two = viewKey("another");
  equal(viewGfid(viewGfid(gfid, one), one), gfid);
  differs(viewGfid(gfid, one), viewGfid(gfid, two));
  // printf %s .snaps | sha256sum
  equal(SNAPSHOTS_GFID, "1ae2246f-7674-f3d7-aeec-aa6a3e8a1993");
  equal(viewRoot(".snaps"), SNAPSHOTS_GFID);
});
