import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import type { Client } from "core/call.ts";
import { ENOTCONN } from "core/errno.ts";
import { type LookupReply } from "core/fops.ts";
import { ROOT_GFID } from "core/inode.ts";
import { eventually, serveBrick } from "tests/fakes/client_brick.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { FopClient, joinDict } from "tests/fakes/fop_client.ts";

const ZEROS = { nlink: 1, uid: 0, gid: 0, rdev: 0, dev: 1, size: 0, blksize: 4096, blocks: 0 };
const TIMES = { atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0, ctime: 0, ctimeNsec: 0 };
const FOUND: LookupReply = {
  stat: { gfid: ROOT_GFID, mode: 0o40755, ...ZEROS, ...TIMES },
  postParent: undefined,
};

/** A brick whose lookups wait in `waiting`; `gone` is how many clients it saw go. */
async function slowBrick() {
  const waiting: (() => void)[] = [], gone: Client[] = [];
  const child = new FakeChild({
    lookup: () => new Promise((resolve) => waiting.push(() => resolve(FOUND))),
  }, "brick");
  Object.assign(child, { clientGone: (client: Client) => void gone.push(client) });
  const { port, stop } = await serveBrick(child);
  const join = (id: string) =>
    FopClient.join(
      { kind: "tcp", host: "127.0.0.1", port },
      joinDict("brick", { "process-uuid": id }),
    );
  return { waiting, gone, join, stop };
}

Deno.test("protocol/server: a client that comes back joins when what it asked before is done", async () => {
  const { waiting, join, stop } = await slowBrick();
  const former = await join("CTX_ID:a-PC_NAME:c-RECON_NO:-0");
  const asked = former.ask("lookup", { inode: former.root, name: "" });
  asked.catch(() => {});
  await eventually(() => waiting.length === 1);
  let joined = false;
  const joining = join("CTX_ID:a-PC_NAME:c-RECON_NO:-1").finally(() => joined = true);
  equal(await former.connection.closed, "peer closed the connection");
  await rejects(asked, (error) => ENOTCONN.matches(error));
  ok(!joined);
  waiting[0]!();
  const client = await joining;
  client.leave();
  await stop();
});

Deno.test("protocol/server: a client whose connection was torn joins again when what it asked is done", async () => {
  const { waiting, gone, join, stop } = await slowBrick();
  const former = await join("CTX_ID:a-PC_NAME:c-RECON_NO:-0");
  former.ask("lookup", { inode: former.root, name: "" }).catch(() => {});
  await eventually(() => waiting.length === 1);
  former.leave();
  await eventually(() => gone.length === 1);
  let joined = false;
  const joining = join("CTX_ID:a-PC_NAME:c-RECON_NO:-1").finally(() => joined = true);
  const other = await join("CTX_ID:b-PC_NAME:c-RECON_NO:-1");
  await other.ask("statfs", { inode: other.root }).catch(() => {});
  ok(!joined);
  waiting[0]!();
  (await joining).leave();
  other.leave();
  await stop();
});

Deno.test("protocol/server: other clients, and later connections, stay", async () => {
  const { join, stop } = await slowBrick();
  const names = ["CTX_ID:a-PC_NAME:c-RECON_NO:-1", "CTX_ID:a-PC_NAME:d-RECON_NO:-0", "odd", "odd"];
  const clients = [];
  for (const name of names) clients.push(await join(name));
  clients.push(await join("CTX_ID:a-PC_NAME:c-RECON_NO:-0"));
  clients.push(await join("CTX_ID:b-PC_NAME:c-RECON_NO:-7"));
  ok(clients.every(({ connection }) => connection.open));
  for (const client of clients) client.leave();
  await stop();
});
