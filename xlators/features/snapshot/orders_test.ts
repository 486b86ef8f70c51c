import { deepStrictEqual as deepEqual, rejects } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { ETIMEDOUT } from "core/errno.ts";
import type { Args, Reply } from "core/fops.ts";
import type { HistoryReader } from "core/history_orders.ts";
import { PassThrough } from "core/xlator.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { node } from "tests/fakes/node.ts";
import { gfidReq, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { Holds, Orders } from "xlators/features/snapshot/orders.ts";

/** Directories are made when a test says so. */
class Slow extends PassThrough {
  readonly begun = Promise.withResolvers<void>();
  readonly gate = Promise.withResolvers<void>();

  override async mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    this.begun.resolve();
    await this.gate.promise;
    return await super.mkdir(call, args);
  }
}

Deno.test({
  name: "features/snapshot: a snapshot of one brick is given up when a change does not end",
  ignore: !IS_ROOT,
  async fn() {
    const brick = await TestBrick.start();
    const slow = new Slow(node("slow", [brick.top]));
    const layer = await snapshotLayer(brick, {}, slow);
    try {
      const make = (name: string) =>
        layer.mkdir(ROOT, {
          ...{ parent: brick.root, name, mode: 0o755, umask: 0, xdata: gfidReq() },
        });
      const clock = new FakeClock(), orders = new Orders(layer, new Holds(clock));
      const first = make("first");
      await slow.begun.promise;
      const reader: HistoryReader = {
        ...{ id: "a", name: "a", file: undefined, epoch: 1, created: 0, active: false },
        kind: "snapshot",
      };
      const taken = rejects(orders.take(undefined, reader), ETIMEDOUT);
      // Those that came meanwhile go on, though the first has not ended.
      const second = make("second");
      while (!clock.timers) await realClock.delay(0);
      clock.advance(1000);
      await taken;
      slow.gate.resolve();
      await Promise.all([first, second]);
      deepEqual(orders.list(), []);
      await orders.take(undefined, reader);
      deepEqual(orders.list(), [reader]);
    } finally {
      await layer.stop();
      await brick.remove();
    }
  },
});
