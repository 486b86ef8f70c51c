/**
 * What commands act on: the records, and the processes and volfiles that follow them. The record in the store
 * is the truth; `converge` makes the rest so, at every change and when the daemon starts.
 */

import type { Env } from "core/env.ts";
import type { Bricks } from "mgmt/bricks/bricks.ts";
import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import type { Places } from "mgmt/home.ts";
import { KEYS, optionsRecord, type VolumeRecord, volumeRecord } from "mgmt/records.ts";
import type { Store } from "mgmt/store/store.ts";

/** What a cluster is made of. */
export interface ClusterParts {
  readonly env: Env;
  readonly places: Places;
  readonly store: Store;
  /** UUID of this node. */
  readonly nodeId: string;
  readonly bricks: Bricks;
  /** Whether a host's name or address is this node's. */
  readonly isOwn: (host: string) => Promise<boolean>;
  /** Called after a volume's record changed or went: volfiles are made anew. */
  readonly changed: (volume: VolumeRecord) => Promise<void>;
}

/** See the head of this file. */
export class Cluster implements ClusterParts {
  readonly env: Env;
  readonly places: Places;
  readonly store: Store;
  readonly nodeId: string;
  readonly bricks: Bricks;
  readonly isOwn: (host: string) => Promise<boolean>;
  readonly changed: (volume: VolumeRecord) => Promise<void>;

  constructor(parts: ClusterParts) {
    this.env = parts.env;
    this.places = parts.places;
    this.store = parts.store;
    this.nodeId = parts.nodeId;
    this.bricks = parts.bricks;
    this.isOwn = parts.isOwn;
    this.changed = parts.changed;
  }

  /** Volumes that people see, by name. */
  async volumes(): Promise<VolumeRecord[]> {
    const entries = await this.store.list(KEYS.volumes);
    return entries.map(({ value }) => volumeRecord(value)).filter(isShown);
  }

  /** One of them. Throws Refusal. */
  async volume(name: string): Promise<VolumeRecord> {
    const volume = await this.find(name);
    if (volume) return volume;
    throw new Refusal(`Volume ${name} does not exist`, OP_ERRNO.noVolume);
  }

  /** One of them; undefined if there is none. */
  async find(name: string): Promise<VolumeRecord | undefined> {
    const value = await this.store.get(KEYS.volume(name));
    if (value === undefined) return undefined;
    const volume = volumeRecord(value);
    return isShown(volume) ? volume : undefined;
  }

  /** Options of all volumes (`volume set all`). */
  async globalOptions(): Promise<Readonly<Record<string, string>>> {
    return optionsRecord(await this.store.get(KEYS.options) ?? {});
  }

  /**
   * Replaces a volume's record by what `change` makes of it, its version one more, and makes processes and volfiles follow.
   * Answers the new record. Throws Refusal if there is none, and what `change` and the processes throw.
   */
  async update(
    name: string,
    change: (volume: VolumeRecord) => VolumeRecord,
  ): Promise<VolumeRecord> {
    const changed = await this.store.transact(async (transaction) => {
      const value = await transaction.get(KEYS.volume(name));
      if (value === undefined) {
        throw new Refusal(`Volume ${name} does not exist`, OP_ERRNO.noVolume);
      }
      const volume = volumeRecord(value);
      const next = { ...change(volume), version: volume.version + 1 };
      transaction.put(KEYS.volume(name), asJson(next));
      return next;
    });
    await this.converge(changed);
    return changed;
  }

  /** Makes volfiles, then processes, what `volume` says. */
  async converge(volume: VolumeRecord): Promise<void> {
    await this.changed(volume);
    await this.bricks.converge(volume);
  }
}

function isShown({ state }: VolumeRecord): boolean {
  return state !== "creating" && state !== "deleting";
}

/** A record as the store takes it. */
export function asJson(volume: VolumeRecord): { [key: string]: never } {
  return volume as unknown as { [key: string]: never };
}
