/**
 * What commands act on: the records, and the processes and volfiles that follow them. The record in
 * the store is the truth; `converge` makes the rest so, at every change and when the daemon starts.
 *
 * A crash between any two steps leaves a record that says what to do: `creating` is undone,
 * `deleting` is finished (`recover`), anything else is converged to.
 */

import type { Env } from "core/env.ts";
import { allDone } from "core/lib/all_done.ts";
import type { Json } from "core/xlator.ts";
import type { Bricks, ConvergeOptions } from "mgmt/bricks/bricks.ts";
import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { isWithin, leaveBrick, notAvailable } from "mgmt/cluster/brick_directory.ts";
import { isVolumeName } from "mgmt/cluster/names.ts";
import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import type { HealerLink } from "mgmt/heal/supervised_healer.ts";
import type { Places } from "mgmt/home.ts";
import type { HookEvent, HookFacts } from "mgmt/hooks.ts";
import {
  type BrickRecord,
  brickText,
  KEYS,
  optionsRecord,
  type VolumeRecord,
  volumeRecord,
} from "mgmt/records.ts";
import { KeptExports } from "mgmt/nbd/kept_exports.ts";
import type { SupervisedNbd } from "mgmt/nbd/supervised_nbd.ts";
import type { SupervisedProxies } from "mgmt/proxy/supervised_proxies.ts";
import { Flattens } from "mgmt/snapshots/flattens.ts";
import { OwnClients } from "mgmt/snapshots/own_clients.ts";
import { noteReceived } from "mgmt/snapshots/received.ts";
import { Schedules } from "mgmt/snapshots/schedules.ts";
import { Snapshots } from "mgmt/snapshots/snapshots.ts";
import type { Store } from "mgmt/store/store.ts";

/** What a cluster is made of. */
export interface ClusterParts {
  readonly env: Env;
  readonly places: Places;
  readonly store: Store;
  /** UUID of this node. */
  readonly nodeId: string;
  readonly bricks: Bricks;
  /** Where this daemon listens, for clients of its own; absent: nowhere. */
  readonly server?: () => { readonly host: string; readonly port: number };
  /** The self-heal daemon; absent: there is none. */
  readonly healer?: HealerLink | undefined;
  /** The NBD server; absent: there is none. */
  readonly nbd?: Pick<SupervisedNbd, "converge" | "socket" | "listens" | "encrypted" | "pid">;
  /** The proxies of volumes; absent: there are none. */
  readonly proxies?: Pick<SupervisedProxies, "converge" | "status">;
  /** Whether a host's name or address is this node's. */
  readonly isOwn: (host: string) => Promise<boolean>;
  /** Whether bricks on a host can be served: throws Refusal if not. */
  readonly checkHost: (brick: Pick<BrickRecord, "host" | "path">) => Promise<void>;
  /** The volfile that clients of this node get by that key; undefined if there is none. */
  readonly volfile: (key: string) => Promise<string | undefined>;
  /** Whether somebody wrote that volfile by hand, so that the volume's options do not change it. */
  readonly isHandWritten: (key: string) => Promise<boolean>;
  /** The record changed: volfiles, and what else shows it, follow. */
  readonly publish: (volume: VolumeRecord) => Promise<void>;
  /** The volume is gone: what shows it goes, too. */
  readonly unpublish: (volume: VolumeRecord) => Promise<void>;
  /** Keys of volfiles that an administrator wrote in place of ours; absent: there are none. */
  readonly handWritten?: () => Promise<readonly string[]>;
  /** The operator's programs that run around changes; absent: there are none. */
  readonly hooks?: ClusterHooks;
}

/** See `ClusterParts.hooks`. */
export interface ClusterHooks {
  /** Resolves when those before the change have run. */
  pre(event: HookEvent, volume: string, facts: HookFacts): Promise<void>;
  /** Those after the change run by themselves: they may call commands. */
  post(event: HookEvent, volume: string, facts: HookFacts): void;
}

/** See the head of this file. */
export class Cluster {
  readonly env: Env;
  readonly places: Places;
  readonly store: Store;
  readonly nodeId: string;
  readonly bricks: Bricks;
  readonly healer: HealerLink | undefined;
  readonly nbd: ClusterParts["nbd"];
  readonly proxies: ClusterParts["proxies"];
  /** Files that are served by NBD. */
  readonly exports: KeptExports;
  /** Snapshots of volumes. */
  readonly snapshots: Snapshots;
  /** When snapshots are taken by themselves. */
  readonly schedules: Schedules;
  /** Clones that are made independent. */
  readonly flattens: Flattens;
  /** Volumes as this daemon itself reaches them. */
  readonly clients: OwnClients;
  readonly server: NonNullable<ClusterParts["server"]>;
  readonly isOwn: ClusterParts["isOwn"];
  readonly checkHost: ClusterParts["checkHost"];
  readonly volfile: ClusterParts["volfile"];
  readonly isHandWritten: ClusterParts["isHandWritten"];
  readonly #publish: ClusterParts["publish"];
  readonly #unpublish: ClusterParts["unpublish"];
  readonly #hooks: ClusterHooks | undefined;
  readonly handWritten: NonNullable<ClusterParts["handWritten"]>;

  /** Nobody listens yet: bricks cannot be asked. */
  #recovering = false;

  constructor(parts: ClusterParts) {
    this.env = parts.env;
    this.places = parts.places;
    this.store = parts.store;
    this.nodeId = parts.nodeId;
    this.bricks = parts.bricks;
    this.healer = parts.healer;
    this.nbd = parts.nbd;
    this.proxies = parts.proxies;
    this.exports = new KeptExports(parts);
    this.snapshots = new Snapshots(parts);
    this.schedules = new Schedules(parts);
    this.flattens = new Flattens(this);
    this.server = parts.server ?? (() => ({ host: "127.0.0.1", port: MANAGEMENT_PORT }));
    this.clients = new OwnClients({ ...parts, server: this.server });
    this.isOwn = parts.isOwn;
    this.checkHost = parts.checkHost;
    this.volfile = parts.volfile;
    this.isHandWritten = parts.isHandWritten;
    this.#publish = parts.publish;
    this.#unpublish = parts.unpublish;
    this.#hooks = parts.hooks;
    this.handWritten = parts.handWritten ?? (() => Promise.resolve([]));
  }

  /** Volumes that people see, by name. */
  async volumes(): Promise<VolumeRecord[]> {
    return (await this.#records()).filter(isShown);
  }

  async #records(): Promise<VolumeRecord[]> {
    const entries = await this.store.list(KEYS.volumes);
    return entries.map(({ value }) => volumeRecord(value));
  }

  /** One of them. Throws Refusal. */
  async volume(name: string): Promise<VolumeRecord> {
    const volume = await this.find(name);
    if (volume) return volume;
    throw noVolume(name);
  }

  /** One of them; undefined if there is none. */
  async find(name: string): Promise<VolumeRecord | undefined> {
    // Anybody asks, by any key of a volfile; the store takes only keys that there can be.
    const value = isVolumeName(name) ? await this.store.get(KEYS.volume(name)) : undefined;
    if (value === undefined) return undefined;
    const volume = volumeRecord(value);
    return isShown(volume) ? volume : undefined;
  }

  /** Options of all volumes (`volume set all`). */
  async globalOptions(): Promise<Readonly<Record<string, string>>> {
    return optionsRecord(await this.store.get(KEYS.options) ?? {});
  }

  /**
   * Adds a record. Throws Refusal if there is one of that name, even one that nobody sees, or of that id,
   * or a volume that has one of its bricks.
   */
  async add(volume: VolumeRecord): Promise<void> {
    await this.store.transact(async (transaction) => {
      for (const { value } of await transaction.list(KEYS.volumes)) {
        const other = volumeRecord(value);
        if (other.name === volume.name) {
          throw new Refusal(`Volume ${volume.name} already exists`, OP_ERRNO.volumeExists);
        }
        const both = volume.bricks.find((brick) =>
          other.id === volume.id || other.bricks.some((own) => overlap(own, brick))
        );
        if (both) throw new Refusal(notAvailable(brickText(both), other.name));
      }
      transaction.put(KEYS.volume(volume.name), asJson(volume));
    });
  }

  /**
   * Replaces a volume's record by what `change` makes of it, its version one more, and makes the rest
   * follow. Answers the new record. Throws Refusal if there is none, and what `change` and the processes throw.
   */
  async update(
    name: string,
    change: (volume: VolumeRecord) => VolumeRecord,
    options?: ConvergeOptions,
  ): Promise<VolumeRecord> {
    const changed = await this.#replace(name, change);
    await this.converge(changed, options);
    return changed;
  }

  /**
   * Makes a volume that was added as `creating` one that people see, once `prepare` is through: what
   * shows it is written meanwhile, as it is of use to nobody before. Answers the new record. After a
   * failure the volume is to be undone.
   */
  async complete(volume: VolumeRecord, prepare: () => Promise<void>): Promise<VolumeRecord> {
    const created = { ...volume, state: "created" as const };
    const shown = this.#publish({ ...created, version: volume.version + 1 });
    await allDone([prepare(), shown]);
    return await this.#replace(volume.name, () => created);
  }

  #replace(name: string, change: (volume: VolumeRecord) => VolumeRecord): Promise<VolumeRecord> {
    return this.store.transact(async (transaction) => {
      const value = await transaction.get(KEYS.volume(name));
      if (value === undefined) throw noVolume(name);
      const volume = volumeRecord(value);
      const next = { ...change(volume), version: volume.version + 1 };
      transaction.put(KEYS.volume(name), asJson(next));
      return next;
    });
  }

  /** A brick of this node signed in: its snapshots are made what the records say. */
  async brickCameUp(path: string): Promise<void> {
    for (const volume of await this.started()) {
      const brick = volume.bricks.find((each) => each.nodeId === this.nodeId && each.path === path);
      if (brick) await this.snapshots.reconcile(volume, brick.clientName);
    }
  }

  /** Makes the NBD server serve what the records say. */
  async convergeNbd(): Promise<void> {
    if (!this.#recovering) await this.nbd?.converge(await this.exports.all());
  }

  /** Makes volfiles, then processes, what `volume` says. */
  async converge(volume: VolumeRecord, options?: ConvergeOptions): Promise<void> {
    await this.#publish(volume);
    // Clients go before the bricks; a proxy, which is one, comes after them, those that there are.
    if (volume.state !== "started") {
      await this.clients.drop(volume.name);
      await this.proxies?.converge(volume);
    }
    try {
      await this.bricks.converge(volume, options);
    } finally {
      if (volume.state === "started") await this.proxies?.converge(volume);
    }
  }

  /**
   * Runs the hooks of an event around `change`: those before it, then `change`, and, if that went well,
   * those after it, which nobody waits for. `options`: what "set" sets.
   */
  async hooked<T>(
    event: HookEvent,
    volume: string,
    change: () => Promise<T>,
    options: HookFacts["options"] = {},
  ): Promise<T> {
    const facts = async () => ({ started: (await this.started()).length, options });
    if (this.#hooks) await this.#hooks.pre(event, volume, await facts());
    const value = await change();
    if (this.#hooks) this.#hooks.post(event, volume, await facts());
    return value;
  }

  /** A brick serves on another port than its record has: the next start asks for this one. */
  async notePort(name: string, path: string, port: number): Promise<void> {
    await this.store.transact(async (transaction) => {
      const value = await transaction.get(KEYS.volume(name));
      if (value === undefined) return;
      const volume = volumeRecord(value);
      const bricks = volume.bricks.map((brick) =>
        brick.nodeId === this.nodeId && brick.path === path ? { ...brick, port } : brick
      );
      transaction.put(KEYS.volume(name), asJson({ ...volume, bricks }));
    });
  }

  /** Forgets a volume and all that showed it. Its bricks keep what they hold. */
  async remove(name: string): Promise<void> {
    await this.#finishDelete(
      await this.#replace(name, (volume) => ({ ...volume, state: "deleting" })),
    );
  }

  async #finishDelete(volume: VolumeRecord): Promise<void> {
    await this.proxies?.converge(volume);
    await this.bricks.forget(volume);
    await this.#untie(volume);
    await this.#unpublish(volume);
    await this.snapshots.forgetVolume(volume.name);
    await this.schedules.forgetVolume(volume.name);
    await noteReceived(this, volume.name, undefined);
    await this.exports.forgetVolume(volume.name);
    await this.convergeNbd();
    await this.#drop(volume);
  }

  /** Undoes what was done for a volume that is `creating`: its bricks are as they were. */
  async undoCreate(volume: VolumeRecord): Promise<void> {
    for (const { path, nodeId, made } of volume.bricks) {
      if (nodeId === this.nodeId) leaveBrick(path, volume.id, made === true);
    }
    await this.#untie(volume);
    await this.#unpublish(volume);
    await this.#drop(volume);
  }

  // What only a clone needs of its origin goes.
  async #untie({ cloneOf }: VolumeRecord): Promise<void> {
    const origin = cloneOf && await this.find(cloneOf.volume);
    if (!origin) return;
    await this.snapshots.endReader(origin, cloneOf.reader, { later: this.#recovering });
  }

  /** A clone that has copied all it needs is a volume like any other from now on. */
  async untie(name: string): Promise<void> {
    const { cloneOf } = await this.volume(name);
    const origin = cloneOf && await this.find(cloneOf.volume);
    const untied = await this.store.transact(async (transaction) => {
      const { cloneOf: _, ...volume } = volumeRecord(await transaction.get(KEYS.volume(name)));
      const bricks = volume.bricks.map(({ origins: _, ...brick }) => brick);
      const next = { ...volume, bricks, version: volume.version + 1 };
      transaction.put(KEYS.volume(name), asJson(next));
      if (origin) this.snapshots.noteRemoval(transaction, origin, cloneOf.reader);
      return next;
    });
    await this.converge(untied);
    if (origin) await this.snapshots.finishRemovals(origin);
  }

  #drop({ name }: VolumeRecord): Promise<void> {
    return this.store.transact((transaction) => {
      transaction.delete(KEYS.volume(name));
      return Promise.resolve();
    });
  }

  /** Records of volumes whose bricks shall run, for `Bricks.adopt`. */
  async started(): Promise<VolumeRecord[]> {
    return (await this.#records()).filter(({ state }) => state === "started");
  }

  /** Undoes and finishes what a crash left half done. Before anything else. */
  async recover(): Promise<void> {
    this.#recovering = true;
    try {
      await this.#recover();
    } finally {
      this.#recovering = false;
    }
  }

  async #recover(): Promise<void> {
    for (const volume of await this.#records()) {
      const { name, state } = volume;
      if (state === "creating") {
        this.env.log.warn("volume was only half made: undone", { volume: name });
        await this.undoCreate(volume);
      } else if (state === "deleting") {
        this.env.log.warn("volume was only half deleted: finished", { volume: name });
        await this.#finishDelete(volume);
      }
    }
    await this.snapshots.recover(await this.volumes());
  }
}

function isShown({ state }: VolumeRecord): boolean {
  return state !== "creating" && state !== "deleting";
}

function noVolume(name: string): Refusal {
  return new Refusal(`Volume ${name} does not exist`, OP_ERRNO.noVolume);
}

function overlap(one: BrickRecord, other: BrickRecord): boolean {
  if (one.nodeId !== other.nodeId) return false;
  return isWithin(one.path, other.path) || isWithin(other.path, one.path);
}

/** A record as the store takes it. */
export function asJson(volume: VolumeRecord): Json {
  return volume as unknown as Json;
}
