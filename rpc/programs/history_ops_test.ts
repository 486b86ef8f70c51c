import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import type { HistoryReader } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import {
  historyUsage,
  joinReader,
  listReaders,
  takeHistory,
  updateReader,
} from "rpc/programs/history_ops.ts";
import { type Codec, string, u32, XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";

const READER: HistoryReader = {
  id: "6a0d9a52-8f0d-4f5d-9d7e-000000000001",
  name: "größe",
  kind: "clone",
  file: "11111111-2222-4333-8444-555555555555" as Gfid,
  epoch: 2 ** 40,
  created: 1_800_000_000_000,
  active: true,
};

function through<T>(codec: Codec<T>, value: T): T {
  const to = new XdrWriter();
  codec.write(to, value);
  const from = new XdrReader(to.written.slice());
  const read = codec.read(from);
  equal(from.left, 0);
  return read;
}

Deno.test("rpc/history: orders and answers come out as they went in", () => {
  const { epoch: _, ...joining } = READER;
  const whole = { ...READER, file: undefined, kind: "snapshot" as const, active: false };
  for (const order of [{ hold: "h", reader: READER }, { hold: undefined, reader: whole }]) {
    deepEqual(through(takeHistory.args, order), order);
  }
  deepEqual(through(joinReader.args, { id: "a", reader: joining }), { id: "a", reader: joining });
  const change = { name: undefined, kind: "clone" as const, active: false };
  deepEqual(through(updateReader.args, { id: "a", change }), { id: "a", change });
  const state = { trouble: "", epoch: 7, readers: [READER, whole] };
  deepEqual(through(listReaders.result, state), state);
  const usage = { rows: 3, bytes: 8192, readers: [{ id: "a", alone: 4096, shared: 4096 }] };
  for (
    const answer of [{ errno: 0, error: "", usage }, { errno: 5, error: "x", usage: undefined }]
  ) {
    deepEqual(through(historyUsage.result, answer), answer);
  }
});

Deno.test("rpc/history: what is no reader is malformed, and nothing else", () => {
  const { args } = takeHistory;
  const written = (write: (to: XdrWriter) => void) => {
    const to = new XdrWriter();
    u32.write(to, 0);
    write(to);
    return new XdrReader(to.written.slice());
  };
  const id = string(1000);
  const kind = (number: number, file: string) => (to: XdrWriter) => {
    id.write(to, "id");
    id.write(to, "name");
    u32.write(to, number);
    id.write(to, file);
  };
  throws(() => args.read(written(kind(2, ""))), XdrError);
  throws(() => args.read(written(kind(0, "no gfid"))), XdrError);
  throws(() => args.read(written((to) => id.write(to, "x".repeat(65)))), XdrError);
});
