/** What the rest of the management daemon wants of brick processes. */

import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";
import type { Signature } from "rpc/program.ts";

/** How a brick is. */
export interface BrickStatus {
  /** Signed in, with a process that lives. */
  readonly online: boolean;
  readonly pid: number | undefined;
  readonly port: number | undefined;
  /** Why it is not online, for people; undefined while it is, or was never started. */
  readonly why: string | undefined;
}

/** Processes of this node's bricks. Those of other nodes are never touched. */
export interface Bricks {
  /**
   * Makes processes what `volume` says: every brick of a started volume runs, none of another. Bricks
   * that run already are left alone. Resolves when all are online or all are gone; throws Refusal naming the first
   * that did not come up and why (its last log line). Bricks of a volume run on, and are started again if they die.
   */
  converge(volume: VolumeRecord): Promise<void>;
  /** The volume is gone: ends its processes, removes its pid files and sockets. */
  forget(volume: VolumeRecord): Promise<void>;
  status(volume: VolumeRecord, brick: BrickRecord): BrickStatus;
  /** Asks a running brick, over its unix socket. Throws Refusal if it is down or does not answer. */
  ask<A, R>(
    volume: VolumeRecord,
    brick: BrickRecord,
    signature: Signature<A, R>,
    args: A,
  ): Promise<R>;
  /** The bricks' volfiles changed: they are told over their connection to us and need nothing here. */
  stop(): Promise<void>;
}
