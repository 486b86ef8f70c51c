/** What attributes and dictionaries cost, in place and as iattx. */

import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { ptr, str, Xdata } from "core/xdata.ts";
import { readDict, writeDict } from "rpc/gfx_dict.ts";
import { readIatt, writeIatt } from "rpc/gfx_types.ts";
import { XdrReader, XdrWriter } from "rpc/xdr.ts";
import { iattx } from "tests/interop/gfx_declared.ts";

const STAT: Iatt = {
  gfid: "0a44507c-df14-4100-9475-e72f8040bf4a" as Gfid,
  mode: 0o100644,
  nlink: 1,
  uid: 1000,
  gid: 100,
  rdev: 0,
  dev: 0xfe00,
  size: 123456789,
  blksize: 4096,
  blocks: 241128,
  atime: 1795349203,
  atimeNsec: 30000000,
  mtime: 1795349204,
  mtimeNsec: 40000000,
  ctime: 1795349205,
  ctimeNsec: 50000000,
};

const to = new XdrWriter(4096);
writeIatt(to, STAT);
const from = new XdrReader(to.written.slice());
const value = iattx.read(from);

Deno.bench({ name: "read in place", group: "iattx, read", baseline: true }, () => {
  from.at = 0;
  readIatt(from);
});
Deno.bench({ name: "read as declared", group: "iattx, read" }, () => {
  from.at = 0;
  iattx.read(from);
});
Deno.bench({ name: "written in place", group: "iattx, written", baseline: true }, () => {
  to.at = 0;
  writeIatt(to, STAT);
});
Deno.bench({ name: "written as declared", group: "iattx, written" }, () => {
  to.at = 0;
  iattx.write(to, value);
});
Deno.bench({ name: "none", group: "iattx, written" }, () => {
  to.at = 0;
  writeIatt(to, undefined);
});

// What replicate asks with a write and is answered.
const asked = Xdata.of([
  ["glusterfs.inodelk-dom-count", str("v-replicate-0")],
  ["glusterfs.open-fd-count", { type: "int", value: 0 }],
  ["glusterfs.write-is-append", { type: "int", value: 0 }],
]);
const pending = Xdata.of([
  ["trusted.afr.dirty", ptr(new Uint8Array(12))],
  ["trusted.afr.v-client-0", ptr(new Uint8Array(12))],
]);
for (
  const [name, dict] of [["none", undefined], ["3 keys", asked], ["2 xattrs", pending]] as const
) {
  const packed = new XdrWriter();
  writeDict(packed, dict);
  const reader = new XdrReader(packed.written.slice());
  Deno.bench({ name, group: "gfx_dict, read" }, () => {
    reader.at = 0;
    readDict(reader);
  });
  Deno.bench({ name, group: "gfx_dict, written" }, () => {
    to.at = 0;
    writeDict(to, dict);
  });
}
