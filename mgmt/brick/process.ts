/**
 * A brick as a process: its graph, its place in the portmap, and what signals and events do to it.
 * Where the volfile comes from (a file, a server) is the `source`.
 */

import { buildGraph, type Graph } from "core/graph.ts";
import type { Gfid } from "core/inode.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";
import type { Xlator } from "core/xlator.ts";
import { asTold, brickName, readBlocks, type Told, withoutIdle } from "mgmt/brick/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Daemon } from "mgmt/daemon.ts";
import { cause, plain } from "mgmt/plain.ts";
import { cannotListen } from "mgmt/endpoints.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { graphSections, lockedGfids } from "mgmt/brick/dump.ts";
import { filePath, listenForOrders } from "mgmt/brick/operations.ts";
import { PortmapEntry } from "mgmt/brick/portmap_entry.ts";
import { dashed } from "mgmt/home.ts";
import { dumpState } from "mgmt/statedump.ts";
import { VolfileReloads } from "mgmt/volfile_reloads.ts";
import type { Connection } from "rpc/connection.ts";
import { type Endpoint, endpointText } from "rpc/transport.ts";

/** Where a brick's volfile comes from. */
export interface VolfileSource {
  /** For people: `volfile "x.vol"`. */
  readonly where: string;
  /** True if `link`'s management daemon has it: then it says when it changes. */
  readonly served: boolean;
  /** Its text now. Throws CommandError. */
  read(): Promise<string>;
}

/** What a brick is told beside its volfile. */
export interface BrickOptions extends Told {
  readonly source: VolfileSource;
  readonly name: string | undefined;
  readonly statedumps: string | undefined;
  /** Unix socket on which it takes orders. */
  readonly socket: string | undefined;
  /** The management daemon, if the brick has one. */
  readonly link: ManagementLink | undefined;
  /** Whether to sign in there. */
  readonly signsIn: boolean;
}

/** How many files with locks are named by path in a statedump: each is a look at the disk. */
const PATHS_MAX = 1000;

/** See the head of this file. */
export class BrickProcess {
  readonly #daemon: Daemon;
  readonly #options: BrickOptions;
  readonly #types: XlatorTypes;
  #graph!: Graph;
  #name!: string;
  #entry: PortmapEntry | undefined;
  readonly #reloads = new VolfileReloads(() => this.#reloadNow());
  #orders: { stop(): Promise<void> } | undefined;

  constructor(daemon: Daemon, types: XlatorTypes, options: BrickOptions) {
    this.#daemon = daemon;
    this.#types = types;
    this.#options = options;
  }

  /** Serves until the daemon is told to end; answers the exit code. Throws CommandError. */
  async run(): Promise<number> {
    const { source, link } = this.#options;
    const { log } = this.#daemon.env;
    const blocks = this.#blocks(await source.read());
    this.#name = brickName(blocks, this.#options.name, source.where);
    this.#graph = this.#build(blocks);
    this.#graph.top.listen((event) => {
      if (event.type !== "failing") return;
      log.error("brick stops: it cannot serve any more", { brick: this.#name, why: event.reason });
      this.#daemon.end(1);
    });
    this.#daemon.handle({ reload: () => this.#reloads.again(), dump: () => void this.#dumpNow() });
    await this.#start();
    try {
      link?.keep({
        connected: (connection) => this.#connected(connection),
        volfileChanged: () => this.#reloads.again(),
      });
      const code = await this.#daemon.ended;
      await this.#entry?.signOut();
      return code;
    } finally {
      await this.#orders?.stop();
      await this.#graph.stop();
      await link?.stop();
      log.info("brick stopped", { brick: this.#name });
    }
  }

  #blocks(text: string): VolumeBlock[] {
    const known = readBlocks(text, this.#options.source.where);
    return asTold(withoutIdle(known, this.#types), this.#options);
  }

  #build(blocks: readonly VolumeBlock[]): Graph {
    try {
      return buildGraph(blocks, this.#types, this.#daemon.env);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const { where } = this.#options.source;
      throw new CommandError(`Cannot use ${where}: ${cause(error.message)}`);
    }
  }

  async #start(): Promise<void> {
    try {
      await this.#graph.start();
    } catch (error) {
      const known = cannotListen(error, "its port", "choose another with --brick-port");
      if (known instanceof CommandError) throw known;
      const why = plain(error);
      // Most layers say all of it themselves.
      throw new CommandError(
        why.startsWith("Cannot ") ? why : `Cannot start brick "${this.#name}": ${why}`,
      );
    }
    try {
      await this.#listenForOrders();
    } catch (error) {
      await this.#graph.stop();
      throw error;
    }
    const endpoints = [...this.#graph.nodes].flatMap(({ xlator }) => endpointOf(xlator) ?? []);
    const port = endpoints.find((each) => each.kind === "tcp")?.port ?? 0;
    const { link, signsIn } = this.#options;
    if (link && signsIn) {
      this.#entry = new PortmapEntry(this.#daemon.env, link, this.#name, port);
    }
    this.#daemon.ready("brick ready", {
      brick: this.#name,
      address: endpoints.map(endpointText).join(","),
    });
  }

  async #connected(connection: Connection): Promise<void> {
    if (this.#options.source.served) this.#reloads.connected();
    await this.#entry?.signIn(connection);
  }

  async #reloadNow(): Promise<void> {
    const { source } = this.#options;
    const { log } = this.#daemon.env;
    try {
      const blocks = this.#blocks(await source.read());
      if (this.#graph.reconfigure(blocks)) log.info("volfile read again", { from: source.where });
      else {
        log.error(
          "volfile needs a restart: volumes changed, not only options that can change live",
          {
            from: source.where,
          },
        );
      }
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof CommandError)) throw error;
      log.error("volfile was not taken over", { why: error.message });
    }
  }

  async #dumpNow(): Promise<void> {
    try {
      await this.#dump();
    } catch (error) {
      this.#daemon.env.log.error("statedump cannot be written", { why: plain(error) });
    }
  }

  async #dump(): Promise<void> {
    const { env, metrics } = this.#daemon;
    const name = dashed(this.#name) || "brick";
    const paths = await this.#pathsOfLocked();
    const sections = graphSections(this.#graph, { metrics: metrics.read(), paths });
    dumpState(env, this.#options.statedumps, name, sections);
  }

  // The storage is asked itself: layers above it count what clients do.
  async #pathsOfLocked(): Promise<ReadonlyMap<string, string>> {
    const [bottom] = this.#graph.nodes;
    const paths = new Map<string, string>();
    for (const gfid of lockedGfids(this.#graph).slice(0, PATHS_MAX)) {
      const path = await filePath(this.#graph, bottom!.xlator, gfid as Gfid);
      if (path !== undefined) paths.set(gfid, path);
    }
    return paths;
  }

  async #listenForOrders(): Promise<void> {
    const { socket } = this.#options;
    if (socket === undefined) return;
    const { env, metrics } = this.#daemon;
    try {
      this.#orders = await listenForOrders(socket, {
        env,
        graph: this.#graph,
        name: this.#name,
        end: () => this.#daemon.end(0),
        metrics: () => metrics.read().map(({ name, value }) => `${name} ${value}\n`).join(""),
      });
    } catch (error) {
      throw cannotListen(error, `"${socket}"`, "choose another with --socket-file");
    }
  }
}

/** Where a layer listens: of all layers only protocol/server does, and says so. */
export function endpointOf(xlator: Xlator): Endpoint | undefined {
  return (xlator as Xlator & { readonly endpoint?: Endpoint | undefined }).endpoint;
}
