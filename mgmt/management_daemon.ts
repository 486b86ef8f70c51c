/**
 * The management daemon: one store, one cluster, and the ways in: volfiles and ports for clients and
 * bricks, commands for people and programs. When it ends its bricks serve on, and the next one
 * finds them again.
 */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import type { BrickProcessesOptions } from "mgmt/bricks/brick_processes.ts";
import type { Bricks } from "mgmt/bricks/bricks.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { CommandLocks } from "mgmt/command_locks.ts";
import { commandProgram } from "mgmt/command_program.ts";
import { Cluster } from "mgmt/cluster/cluster.ts";
import { bindsToHost, checkBrickHost, isOwnHost } from "mgmt/cluster/hosts.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { cannotListen } from "mgmt/endpoints.ts";
import { makeHookDirectories, PostHooks, runHooks } from "mgmt/hooks.ts";
import type { SupervisedHealer, SupervisedHealerOptions } from "mgmt/heal/supervised_healer.ts";
import type { Places } from "mgmt/home.ts";
import type { SupervisedNbd, SupervisedNbdOptions } from "mgmt/nbd/supervised_nbd.ts";
import { glusterCliProgram } from "mgmt/legacy/program.ts";
import { isOwnProcess } from "mgmt/peer_user.ts";
import { isOfSystem, plain } from "mgmt/plain.ts";
import type { PortmapEars } from "mgmt/portmap.ts";
import type { SupervisedProxies, SupervisedProxiesOptions } from "mgmt/proxy/supervised_proxies.ts";
import { KEYS, nodeRecord, setSize, type VolumeRecord } from "mgmt/records.ts";
import { HistoryHeals } from "mgmt/snapshots/history_heals.ts";
import { ScheduledSnapshots } from "mgmt/snapshots/scheduled.ts";
import { isSnapshotKey, servedBy, snapshotVolfile } from "mgmt/snapshots/snapshot_volume.ts";
import { makeDirectory } from "mgmt/state/replace_file.ts";
import {
  readNodeId,
  removeStateFiles,
  removeTree,
  volumesWithFiles,
  writeNodeFiles,
  writeStateFiles,
} from "mgmt/state/state_files.ts";
import type { Store } from "mgmt/store/store.ts";
import { sharingOf } from "mgmt/volgen/sharing.ts";
import { isBrickKey, otherKey, stateVolfiles, volfileText } from "mgmt/volgen/volfiles.ts";
import { VolfileServer } from "mgmt/volfile_server.ts";
import { Volfiles, volumeOfKey } from "mgmt/volfiles.ts";
import { type Endpoint, endpointText, removeStaleSocket } from "rpc/transport.ts";

/** What bricks are made of. */
export type BricksParts = Pick<
  BrickProcessesOptions,
  "env" | "places" | "nodeId" | "server" | "served"
>;

/** What the self-heal daemon is made of. */
export type HealerParts = Pick<SupervisedHealerOptions, "env" | "places" | "nodeId" | "server">;

/** What the NBD server is made of. */
export type NbdParts = Pick<SupervisedNbdOptions, "env" | "places" | "server">;

/** What proxies are made of. */
export type ProxiesParts = Pick<SupervisedProxiesOptions, "env" | "places" | "nodeId" | "server">;

/** What the daemon is told. */
export interface ManagementOptions {
  readonly places: Places;
  /** Addresses to listen on. */
  readonly listens: readonly string[];
  /** Port on each of them; 0: any that is free. */
  readonly port: number;
  /** Other volfile servers, "HOST:PORT" each. */
  readonly servers: readonly string[];
  /** Directory of hand-written volfiles. */
  readonly volfiles: string | undefined;
  /** Opens the store in a home. Throws StoreError. */
  readonly openStore: (home: string, env: Env) => Store;
  readonly makeBricks: (
    parts: BricksParts,
  ) => Bricks & { readonly ears: PortmapEars; portOf(path: string): number | undefined };
  /** Absent: nobody heals. */
  readonly makeHealer?: (parts: HealerParts) => SupervisedHealer;
  /** Absent: nothing is served by NBD. */
  readonly makeNbd?: (parts: NbdParts) => SupervisedNbd;
  /** Absent: volumes have no proxies. */
  readonly makeProxies?: (parts: ProxiesParts) => SupervisedProxies;
}

/** See the head of this file. */
export class ManagementDaemon {
  readonly #env: Env;
  readonly #options: ManagementOptions;
  readonly #store: Store;
  readonly #volfiles: Volfiles;
  readonly #server: VolfileServer;
  readonly #locks: CommandLocks;
  readonly #postHooks: PostHooks;
  readonly #healer: SupervisedHealer | undefined;
  readonly #nbd: SupervisedNbd | undefined;
  readonly #proxies: SupervisedProxies | undefined;
  readonly #scheduled: ScheduledSnapshots;
  readonly #historyHeals: HistoryHeals;
  readonly cluster: Cluster;
  readonly dispatcher: Dispatcher;
  #endpoints: Endpoint[] = [];
  #converging: Promise<unknown> = Promise.resolve();

  private constructor(env: Env, options: ManagementOptions, store: Store, nodeId: string) {
    this.#env = env;
    this.#options = options;
    this.#store = store;
    const { places, listens } = options;
    const bricks = options.makeBricks({
      env,
      places,
      nodeId,
      server: () => this.#own(),
      served: (volume, { path }, port) => void this.#notePort(volume, path, port),
    });
    this.#healer = options.makeHealer?.({ env, places, nodeId, server: () => this.#own() });
    this.#nbd = options.makeNbd?.({ env, places, server: () => this.#own() });
    const proxies = options.makeProxies?.({ env, places, nodeId, server: () => this.#own() });
    this.#proxies = proxies;
    this.#volfiles = new Volfiles(
      options.volfiles,
      (key, trusted) => this.#makeVolfile(key, trusted),
    );
    this.#postHooks = new PostHooks(places, env);
    this.cluster = new Cluster({
      env,
      places,
      store,
      nodeId,
      bricks,
      healer: this.#healer,
      ...this.#nbd ? { nbd: this.#nbd } : {},
      ...proxies ? { proxies } : {},
      server: () => this.#own(),
      isOwn: isOwnHost,
      checkHost: (brick) => checkBrickHost(brick, listens),
      volfile: (key) => this.#volfiles.peek(key).catch(() => undefined),
      handWritten: () => this.#volfiles.handWrittenKeys(),
      isHandWritten: (key) => this.#volfiles.isHandWritten(key),
      publish: (volume) => this.#publish(volume),
      unpublish: ({ name }) => this.#unpublish(name),
      hooks: {
        pre: (event, volume, facts) => runHooks(places, env, event, "pre", volume, facts),
        post: (event, volume, facts) => this.#postHooks.add(event, volume, facts),
      },
    });
    this.#locks = new CommandLocks(env.clock);
    this.dispatcher = new Dispatcher(this.cluster, MANAGED, this.#locks);
    this.#scheduled = new ScheduledSnapshots(this.cluster, this.#locks);
    this.#historyHeals = new HistoryHeals(this.cluster, this.#locks);
    this.#server = new VolfileServer(env, {
      volfiles: this.#volfiles,
      servers: options.servers,
      isOwn: isOwnProcess,
      ears: {
        signedIn: (entry) => {
          bricks.ears.signedIn(entry);
          proxies?.ears.signedIn(entry);
          void this.#reconcile(entry.brick);
        },
        signedOut: (brick) => {
          bricks.ears.signedOut(brick);
          proxies?.ears.signedOut(brick);
        },
        gone: (brick) => {
          bricks.ears.gone(brick);
          proxies?.ears.gone(brick);
        },
      },
      portOf: (path) => bricks.portOf(path) ?? proxies?.portOf(path),
      servedBy: (name) => servedBy(this.cluster, name),
      healerPidFile: (name) => `${healerDirectory(places, name)}/${name}-shd.pid`,
      volumeId: async (name) => (await this.cluster.find(name))?.id,
      programs: (connection) => [
        commandProgram(this.dispatcher, connection),
        glusterCliProgram(this.dispatcher, places.home, connection),
      ],
    });
  }

  /**
   * Opens the store, undoes and finishes what a crash left half done, knows bricks that still run,
   * and listens. Bricks that should run come up after that, each volume's under its lock. Throws
   * CommandError and StoreError.
   */
  static async start(env: Env, options: ManagementOptions): Promise<ManagementDaemon> {
    const { places } = options;
    for (const path of [places.home, places.run, places.logs]) {
      try {
        await makeDirectory(path);
      } catch (error) {
        throw new CommandError(
          `Cannot use directory "${path}": ${plain(error)}; choose another with --home`,
        );
      }
    }
    const store = options.openStore(places.home, env);
    try {
      const daemon = new ManagementDaemon(env, options, store, await nodeIdOf(store, places, env));
      await daemon.#start();
      return daemon;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { cluster } = this;
    await cluster.bricks.adopt(await cluster.started());
    await cluster.recover();
    await this.#tidyFiles();
    try {
      await this.#listen();
    } catch (error) {
      await this.#server.stop();
      await cluster.bricks.stop();
      throw error;
    }
    this.#server.watch();
    this.#converging = Promise.all(
      (await cluster.volumes()).map(({ name }) => this.#restore(name)),
    );
    await this.#convergeHealer();
    void cluster.convergeNbd();
    this.#scheduled.start();
    this.#historyHeals.wake();
    cluster.flattens.start(this.#locks);
  }

  // State files are a view: what a crash left of it is made right.
  async #tidyFiles(): Promise<void> {
    const { places } = this.#options;
    const options = await this.cluster.globalOptions();
    try {
      await makeHookDirectories(places);
      await writeNodeFiles(places, this.cluster.nodeId, options);
    } catch (error) {
      // Without room for them bricks and clients still want their volfiles.
      if (!isOfSystem(error)) throw error;
      this.#env.log.error("state files cannot be written", {
        home: places.home,
        why: plain(error),
      });
    }
    const names = new Set((await this.cluster.volumes()).map(({ name }) => name));
    for (const name of await volumesWithFiles(places)) {
      if (names.has(name)) continue;
      this.#env.log.warn("files of a volume that the store does not have are kept as they are", {
        volume: name,
        directory: `${places.home}/vols/${name}`,
      });
    }
  }

  async #restore(name: string): Promise<void> {
    try {
      using _held = await this.#locks.take(name, "start of the management daemon");
      const volume = await this.cluster.find(name);
      if (volume) await this.cluster.converge(volume);
    } catch (error) {
      this.#env.log.error("volume is not served in full", { volume: name, why: plain(error) });
    }
  }

  async #listen(): Promise<void> {
    const { listens, port, places } = this.#options;
    let at = port;
    for (const host of listens) {
      const where = this.#listenOn(
        { kind: "tcp", host, port: at },
        "choose another with --port",
        "choose another with --listen",
      );
      // Of several addresses the others have the port that the first was given.
      if (where.kind === "tcp") at = where.port;
      this.#endpoints.push(where);
    }
    // A socket file outlives a process that was killed; whatever else is wrong, listening tells.
    await removeStaleSocket(places.socket).catch(() => {});
    const where = { kind: "unix", path: places.socket } as const;
    this.#endpoints.push(this.#listenOn(where, "choose another with --socket"));
  }

  #listenOn(endpoint: Endpoint, instead: string, elsewhere?: string): Endpoint {
    try {
      return this.#server.listen(endpoint);
    } catch (error) {
      throw cannotListen(error, endpointText(endpoint), instead, elsewhere);
    }
  }

  async #notePort(volume: string, path: string, port: number): Promise<void> {
    try {
      await this.cluster.notePort(volume, path, port);
    } catch (error) {
      this.#env.log.warn("port of a brick is not remembered", { volume, path, why: plain(error) });
    }
  }

  async #reconcile(path: string): Promise<void> {
    try {
      await this.cluster.brickCameUp(path);
      this.#historyHeals.wake();
      this.cluster.flattens.wake();
    } catch (error) {
      this.#env.log.warn("snapshots of a brick are not looked at", {
        brick: path,
        why: plain(error),
      });
    }
  }

  #own(): { host: string; port: number } {
    const tcp = this.#endpoints.find((each) => each.kind === "tcp");
    if (tcp?.kind !== "tcp") throw new Error("Cannot start bricks before the daemon listens");
    const host = tcp.host === "0.0.0.0" ? "127.0.0.1" : tcp.host === "::" ? "::1" : tcp.host;
    return { host, port: tcp.port };
  }

  async #publish(volume: VolumeRecord): Promise<void> {
    const { places } = this.#options;
    const sharing = await this.#sharing(volume);
    const input = { ...await this.#input(volume), sharing };
    const volfiles = stateVolfiles(input);
    try {
      // A self-heal daemon that cannot note its process there gives the volume up.
      if (setSize(volume) > 1) await makeDirectory(healerDirectory(places, volume.name));
      await writeStateFiles(places, volume, volfiles, this.cluster.nodeId);
    } catch (error) {
      // The record is changed, and only shown by these files: they are written with the next change, or
      // when the daemon starts.
      if (!isOfSystem(error)) throw error;
      this.#env.log.warn("state files are older than the volume", {
        volume: volume.name,
        why: plain(error),
      });
    }
    await this.#server.refresh(volume.name);
    if (this.#endpoints.length) await this.#convergeHealer();
  }

  // Volumes whose copies can be healed; those it shall not heal are only looked at.
  async #convergeHealer(): Promise<void> {
    const started = await this.cluster.started();
    const healed = started.filter((volume) => setSize(volume) > 1 && volume.kind !== "disperse");
    this.#healer?.converge(healed.map(({ name }) => name));
  }

  async #unpublish(name: string): Promise<void> {
    const { places } = this.#options;
    if (this.#endpoints.length) await this.#convergeHealer();
    try {
      await removeTree(healerDirectory(places, name));
      await removeStateFiles(places, name);
    } catch (error) {
      // The record goes all the same: a name that is neither free nor a volume helps nobody.
      if (!isOfSystem(error)) throw error;
      this.#env.log.warn("files of a volume that is gone are left", {
        volume: name,
        why: plain(error),
      });
    }
  }

  #sharing(volume: VolumeRecord) {
    return sharingOf(volume, this.cluster.nodeId, this.#env.clock);
  }

  async #input(volume: VolumeRecord) {
    return {
      volume,
      globalOptions: await this.cluster.globalOptions(),
      nodeId: this.cluster.nodeId,
      bindToHost: bindsToHost(this.#options.listens),
    };
  }

  async #makeVolfile(key: string, trusted: boolean): Promise<string | undefined> {
    const volume = await this.cluster.find(volumeOfKey(key));
    if (!volume) {
      const other = otherKey(key);
      return other === undefined ? undefined : await this.#makeVolfile(other, trusted);
    }
    const input = await this.#input(volume);
    if (isSnapshotKey(key)) return await snapshotVolfile(this.cluster, input, key, trusted);
    // Only bricks wait for their disks: clients must get theirs even if one hangs.
    if (!isBrickKey(volume, key)) return volfileText(input, key, trusted);
    return volfileText({ ...input, sharing: await this.#sharing(volume) }, key, trusted);
  }

  /** Where it listens, the unix socket last. */
  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** Resolves when every volume was tried after the start. */
  get settled(): Promise<unknown> {
    return this.#converging;
  }

  /** Looks at the hand-written volfiles now. */
  refresh(): Promise<void> {
    return this.#server.refresh();
  }

  state(): Json {
    return this.#server.state();
  }

  /** Answers what is under way, closes all connections and the store. Bricks run on. */
  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#scheduled.stop();
    await this.#historyHeals.stop();
    await this.cluster.flattens.stop();
    await this.cluster.clients.stop();
    await this.cluster.bricks.stop();
    await this.#healer?.stop();
    await this.#nbd?.stop();
    await this.#proxies?.stop();
    await this.#converging;
    await this.#postHooks.idle();
    await this.#store.close();
  }
}

function healerDirectory({ run }: Places, volume: string): string {
  return `${run}/shd/${volume}`;
}

// The file that GlusterFS's tools read has it, too: a state directory keeps its identity.
async function nodeIdOf(store: Store, places: Places, env: Env): Promise<string> {
  const known = await store.get(KEYS.node);
  if (known !== undefined) return nodeRecord(known).id;
  const id = await readNodeId(places) ?? env.random.uuid();
  await store.transact((transaction) => {
    transaction.put(KEYS.node, { id });
    return Promise.resolve();
  });
  return id;
}
