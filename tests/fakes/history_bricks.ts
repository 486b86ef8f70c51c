/** Bricks that keep nothing but who reads their history, and fail where a test says so. */

import type { HistoryReader } from "core/history_orders.ts";
import { EEXIST, ENOENT, EOPNOTSUPP, ETIMEDOUT, type FopError } from "core/errno.ts";
import type { Bricks, BrickStatus } from "mgmt/bricks/bricks.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";
import type { Signature } from "rpc/program.ts";
import {
  HISTORY_OPS_PROGRAM,
  type HistoryState,
  historyUsage,
  holdHistory,
  listReaders,
  prepareHistory,
  releaseHistory,
  removeReaders,
  secureHistory,
  takeHistory,
  updateReader,
} from "rpc/programs/history_ops.ts";
import type { FakeClock } from "tests/fakes/clock.ts";

/** An order that can fail. */
export type Step =
  | "prepare"
  | "hold"
  | "take"
  | "release"
  | "secure"
  | "update"
  | "remove"
  | "state"
  | "usage";

/**
 * How it fails: it is refused; it is carried out, but told too late; or the brick is dead before, or
 * after it carried the order out.
 */
export type Fault = "refused" | "late" | "dead before" | "dead after";

const STEPS: ReadonlyMap<number, Step> = new Map([
  [prepareHistory.procedure, "prepare"],
  [holdHistory.procedure, "hold"],
  [takeHistory.procedure, "take"],
  [releaseHistory.procedure, "release"],
  [secureHistory.procedure, "secure"],
  [updateReader.procedure, "update"],
  [removeReaders.procedure, "remove"],
  [listReaders.procedure, "state"],
  [historyUsage.procedure, "usage"],
]);

/** One of them. What it took is there after its death, too. */
export class FakeHistoryBrick {
  readonly readers = new Map<string, HistoryReader>();
  readonly holds = new Set<string>();
  epoch = 1;
  isUp = true;
  /** The next order of that kind fails. */
  fault: { readonly step: Step; readonly how: Fault } | undefined;
  /** Steps in the order that they were asked for. */
  readonly asked: Step[] = [];

  constructor(readonly clock: FakeClock) {}

  /** Ends, with its holds. */
  die(): void {
    this.isUp = false;
    this.holds.clear();
  }

  // deno-lint-ignore no-explicit-any -- one function for all procedures
  answer(step: Step, args: any): unknown {
    this.asked.push(step);
    switch (step) {
      case "hold":
        this.holds.add(args.id);
        this.clock.after(args.timeoutMs, () => this.holds.delete(args.id));
        return DONE;
      case "take":
        return this.#take(args.hold, args.reader);
      case "release":
        return this.holds.delete(args.id) ? DONE : failed(ETIMEDOUT);
      case "prepare":
      case "secure":
        return DONE;
      case "update":
        return this.#update(args.id, args.change);
      case "remove":
        for (const id of args.ids) this.readers.delete(id);
        return DONE;
      case "state": {
        const readers = [...this.readers.values()];
        return { trouble: "", epoch: this.epoch, readers } satisfies HistoryState;
      }
      case "usage": {
        const readers = [...this.readers.keys()].map((id) => ({ id, alone: 4096, shared: 8192 }));
        return { ...DONE, usage: { rows: 3, bytes: 12288, readers } };
      }
    }
  }

  #take(hold: string | undefined, reader: HistoryReader) {
    if (hold !== undefined && !this.holds.delete(hold)) return failed(ETIMEDOUT);
    if (this.readers.has(reader.id) || reader.epoch < this.epoch) return failed(EEXIST);
    this.readers.set(reader.id, reader);
    this.epoch = reader.epoch + 1;
    return DONE;
  }

  #update(id: string, change: Partial<HistoryReader>) {
    const reader = this.readers.get(id);
    if (!reader) return failed(ENOENT);
    const given = Object.entries(change).filter(([, value]) => value !== undefined);
    this.readers.set(id, { ...reader, ...Object.fromEntries(given) });
    return DONE;
  }
}

const DONE = { errno: 0, error: "" };

function failed({ errno, message }: FopError) {
  return { errno, error: message };
}

/** Bricks by path, all of which are asked as if they were processes. */
export class FakeHistoryBricks implements Pick<Bricks, "ask" | "status"> {
  readonly byPath = new Map<string, FakeHistoryBrick>();
  /** Called before an order reaches its brick, and after it was carried out. */
  point: () => Promise<void> | void = () => {};

  constructor(readonly clock: FakeClock) {}

  at(path: string): FakeHistoryBrick {
    const found = this.byPath.get(path) ?? new FakeHistoryBrick(this.clock);
    this.byPath.set(path, found);
    return found;
  }

  status(_volume: VolumeRecord, { path }: BrickRecord): BrickStatus {
    const online = this.at(path).isUp;
    return { online, pid: online ? 1 : undefined, port: online ? 2 : undefined, why: undefined };
  }

  async ask<A, R>(
    _volume: VolumeRecord,
    { path }: BrickRecord,
    { number, procedure }: Signature<A, R>,
    args: A,
  ): Promise<R> {
    const brick = this.at(path);
    if (!brick.isUp) throw new Refusal("is down");
    // Their locks have no transactions under way.
    if (number !== HISTORY_OPS_PROGRAM.number) {
      return { errno: EOPNOTSUPP.errno, error: "" } as R;
    }
    await this.point();
    const step = STEPS.get(procedure)!;
    const how = brick.fault?.step === step ? brick.fault.how : undefined;
    if (how) brick.fault = undefined;
    if (how === "refused") return failed(EOPNOTSUPP) as R;
    if (how === "dead before") {
      brick.die();
      throw new Refusal("is down");
    }
    if (how === "late") await this.clock.delay(60_000);
    const answer = brick.answer(step, args);
    await this.point();
    if (how === "dead after") {
      brick.die();
      throw new Refusal("is down");
    }
    return answer as R;
  }
}
