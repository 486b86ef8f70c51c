/**
 * What the management daemon asks of the self-heal daemon, over the unix socket it was started with:
 * GlusterFS's program for bricks, procedure XLATOR_OP, an order and its answer as JSON text.
 */

import type { Decision } from "core/healer.ts";
import { textKey, withKey, type Xdata } from "core/xdata.ts";
import type { BrickRequest } from "rpc/programs/brick_ops.ts";
import { xlatorOp } from "rpc/programs/brick_ops.ts";

const ORDER = textKey("mortar.heal.order"), ANSWER = textKey("mortar.heal.answer");

/** An order. Bricks are named by their clients' layers: "VOLUME-client-0". */
export type HealOrder =
  /** From now on these volumes, and no others, are healed. */
  | { readonly order: "volumes"; readonly names: readonly string[] }
  | { readonly order: "index" | "full" | "statistics" | "counts"; readonly volume: string }
  | { readonly order: "entries"; readonly volume: string; readonly brick: string }
  | {
    readonly order: "decide";
    readonly volume: string;
    /** A path from the volume's root, or "gfid:" and a gfid; absent: every file in split-brain. */
    readonly file?: string;
    /** The layer of the right copy's client, or which copy is. */
    readonly right: { readonly brick: string } | "size" | "mtime";
  };

/** A file to be healed. */
export type HealFile = {
  /** Path, or `<gfid:…>` if no copy tells it. */
  readonly path: string;
  readonly gfid: string;
  readonly state: "pending" | "healing" | "split-brain";
};

/** Files of one brick; `files` undefined: it is not connected. */
export interface BrickFiles {
  readonly files?: readonly HealFile[];
  /** There are more. */
  readonly cut?: boolean;
}

/** How many files a brick lists; null: it is not connected. */
export interface BrickCount {
  readonly brick: string;
  readonly count: number | null;
}

/** A crawl over a set of copies. */
export type CrawlRecord = {
  readonly set: string;
  readonly type: "INDEX" | "FULL";
  /** Milliseconds since 1970; end null: it runs. */
  readonly begin: number;
  readonly end: number | null;
  readonly healed: number;
  readonly splitBrain: number;
  readonly failed: number;
};

/** What became of a file. */
export type Decided = {
  readonly file: string;
  readonly outcome: Decision;
};

/** An answer; `error`: why there is none, for people. */
export interface HealAnswer {
  readonly error?: string;
  readonly entries?: BrickFiles;
  readonly counts?: readonly BrickCount[];
  readonly crawls?: readonly CrawlRecord[];
  readonly decided?: readonly Decided[];
  /** Bricks that were not reached. */
  readonly away?: readonly string[];
}

/** An order as it is sent. */
export function orderRequest(order: HealOrder): BrickRequest {
  const input = withKey(undefined, ORDER, JSON.stringify(order));
  return { name: "", op: xlatorOp.procedure, input, dict: undefined };
}

/** The order in a request. Throws SyntaxError if there is none. */
export function orderOf(input: Xdata | undefined): HealOrder {
  const order = JSON.parse(input?.get(ORDER) ?? "") as HealOrder;
  if (typeof order?.order !== "string") throw new SyntaxError("Not an order");
  return order;
}

/** An answer as it is sent. */
export function answerDict(answer: HealAnswer): Xdata {
  return withKey(undefined, ANSWER, JSON.stringify(answer));
}

/** The answer in what came back. Throws SyntaxError if there is none. */
export function answerOf(output: Xdata | undefined): HealAnswer {
  return JSON.parse(output?.get(ANSWER) ?? "") as HealAnswer;
}
