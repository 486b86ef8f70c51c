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

/** How processes are made what a record says. */
export interface ConvergeOptions {
  /** Also starts bricks that somebody ended on purpose, and those that wait to be started again. */
  readonly force?: boolean;
}

/** Processes of this node's bricks. Those of other nodes are never touched. */
export interface Bricks {
  /**
   * Once, before bricks can sign in: processes that outlived an earlier daemon are known again, and
   * those that are of no brick of `volumes` that shall run are ended.
   */
  adopt(volumes: readonly VolumeRecord[]): Promise<void>;
  /**
   * Makes processes what `volume` says: every brick of a started volume runs, none of another. Bricks
   * that run already are left alone, and so are, without `force`, those that went down since the volume was
   * started: they are watched. Resolves when all that it started are online, or all are gone; throws
   * Refusal naming the first that did not come up and why (its last log line).
   */
  converge(volume: VolumeRecord, options?: ConvergeOptions): Promise<void>;
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
  /**
   * Makes a brick that does not run what its snapshot with this id has; after a kill it can be done
   * again. `missedBy`: client names of copies that are to be healed from it. Throws Refusal: why it was
   * not done, or not to its end.
   */
  restore(
    volume: VolumeRecord,
    brick: BrickRecord,
    snapshot: string,
    missedBy: readonly string[],
  ): Promise<void>;
  /**
   * The brick's log goes on in a new file; the old one is LOG.⟨key⟩, or with the
   * next number that is free. Throws Refusal if the brick is
   * down or the file cannot be renamed.
   */
  rotateLog(volume: VolumeRecord, brick: BrickRecord, key: number): Promise<void>;
  /** Watches no more. The processes run on: the next daemon adopts them. */
  stop(): Promise<void>;
}
