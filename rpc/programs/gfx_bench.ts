/** What a fop's codec costs at each end, without socket and storage. */

import { FOP_NAMES, type FopName } from "core/fops.ts";
import { fromHex } from "core/lib/bytes.ts";
import { WIRES } from "rpc/programs/gfx.ts";
import type { Wire } from "rpc/wire.ts";
import { XdrReader, XdrWriter } from "rpc/xdr.ts";
import { AnyPeer } from "tests/interop/gfx_peer.ts";

interface Golden {
  readonly fop: FopName;
  readonly from: string;
  readonly how: string;
  readonly request: string;
  readonly reply: string;
}

const goldens: readonly Golden[] = JSON.parse(
  Deno.readTextFileSync(new URL("../../tests/interop/gfx_golden.json", import.meta.url)),
);

const chosen: readonly [string, FopName, RegExp][] = [
  ["READ", "readv", /cat file/],
  ["WRITE", "writev", /^fuse: echo hello/],
  ["WRITE, replica 2", "writev", /replica 2: echo hello/],
  ["LOOKUP missing", "lookup", /stat missing/],
  ["LOOKUP with extra data", "lookup", /^mount -t glusterfs$/],
  ["FXATTROP", "fxattrop", /replica 2/],
  ["FINODELK", "finodelk", /replica 2/],
  ["READDIRP of 4", "readdirp", /ls dir2/],
  ["FLUSH", "flush", /fuse/],
];

const peer = new AnyPeer();
// One fd, so that the peer costs what a table of numbers costs.
const fd = peer.adopt(0, peer.inode("0a44507c-df14-4100-9475-e72f8040bf4a" as never), 2);
peer.fd = () => fd;

for (const [name, fop, how] of chosen) {
  const golden = goldens.find((each) => each.fop === fop && how.test(each.how));
  if (!golden) throw new Error(`Cannot measure ${name}: no such golden`);
  const wire = WIRES[fop] as unknown as Wire<FopName>;
  const request = new XdrReader(fromHex(golden.request));
  const answer = new XdrReader(fromHex(golden.reply));
  const args = wire.args(request, peer);
  const to = new XdrWriter(8192);
  Deno.bench({ name: `${name}: args`, group: "server" }, () => {
    request.at = 0;
    wire.args(request, peer);
  });
  Deno.bench({ name: `${name}: request`, group: "client" }, () => {
    to.at = 0;
    wire.request(to, args, peer);
  });
  if (golden.reply.startsWith("ffffffff")) continue;
  const reply = wire.reply(answer, args, peer);
  Deno.bench({ name: `${name}: answer`, group: "server" }, () => {
    to.at = 0;
    wire.answer(to, reply, args, peer);
  });
  Deno.bench({ name: `${name}: reply`, group: "client" }, () => {
    answer.at = 0;
    wire.reply(answer, args, peer);
  });
}

// All fops once, to notice one that went slow.
const all = goldens.filter(({ from, fop }) => from === "client" && FOP_NAMES.includes(fop));
const requests = all.map(({ fop, request }) =>
  [WIRES[fop] as unknown as Wire<FopName>, new XdrReader(fromHex(request))] as const
);
Deno.bench({ name: `args of ${all.length} requests of all fops`, group: "all" }, () => {
  for (const [wire, request] of requests) {
    request.at = 0;
    try {
      wire.args(request, peer);
    } catch {
      // A refused one costs, too.
    }
  }
});
