/** A proxy as a process: its graph, its place in the portmap, and what signals and changes do to it. */

import type { XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { graphSections } from "mgmt/brick/dump.ts";
import { PortmapEntry } from "mgmt/brick/portmap_entry.ts";
import { endpointOf, type VolfileSource } from "mgmt/brick/process.ts";
import { asTold, brickName, type Override, readBlocks } from "mgmt/brick/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { clientGraph } from "mgmt/client/graph.ts";
import { graphDump } from "mgmt/client/process.ts";
import type { Daemon } from "mgmt/daemon.ts";
import { cannotListen, MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { cause, plain } from "mgmt/plain.ts";
import { ProxyGraph } from "mgmt/proxy/graph.ts";
import { dumpState } from "mgmt/statedump.ts";
import { VolfileReloads } from "mgmt/volfile_reloads.ts";
import type { Connection } from "rpc/connection.ts";
import { endpointText } from "rpc/transport.ts";

/** What a proxy is told. */
export interface ProxyOptions {
  readonly source: VolfileSource;
  /** To the management daemon that has the volfile. */
  readonly link: ManagementLink;
  /** 0: any. */
  readonly port: number;
  readonly overrides: readonly Override[];
  readonly statedumps: string | undefined;
}

/** See the head of this file. */
export class ProxyProcess {
  readonly #daemon: Daemon;
  readonly #types: XlatorTypes;
  readonly #options: ProxyOptions;
  #graph!: ProxyGraph;
  readonly #reloads = new VolfileReloads(() => this.#reloadNow());

  constructor(daemon: Daemon, types: XlatorTypes, options: ProxyOptions) {
    this.#daemon = daemon;
    this.#types = types;
    this.#options = options;
  }

  /** Serves until the daemon is told to end; answers the exit code. Throws CommandError. */
  async run(): Promise<number> {
    const { source, link } = this.#options, { env } = this.#daemon;
    const blocks = this.#blocks(await source.read());
    const name = brickName(blocks, undefined, source.where);
    await this.#start(blocks);
    try {
      this.#daemon.handle({ reload: () => this.#reloads.again(), dump: () => this.#dump(name) });
      const [endpoint] = [...this.#graph.served.nodes].flatMap(({ xlator }) =>
        endpointOf(xlator) ?? []
      );
      const port = endpoint?.kind === "tcp" ? endpoint.port : 0;
      const entry = new PortmapEntry(env, link, name, port);
      this.#daemon.ready("proxy ready", {
        volume: name,
        address: endpoint ? endpointText(endpoint) : "",
      });
      link.keep({
        connected: (connection) => this.#connected(entry, connection),
        volfileChanged: () => this.#reloads.again(),
      });
      const code = await this.#daemon.ended;
      await entry.signOut();
      return code;
    } finally {
      await link.stop();
      await this.#reloads.settled;
      await this.#graph.stop();
      env.log.info("proxy stopped", { volume: name });
    }
  }

  #blocks(text: string): readonly VolumeBlock[] {
    const { source, overrides, port, link: { endpoint } } = this.#options;
    const { log } = this.#daemon.env;
    const told = { everywhere: true, overrides, port };
    const changes = {
      where: source.where,
      port: endpoint.kind === "tcp" ? endpoint.port : MANAGEMENT_PORT,
      subdirectory: undefined,
      served: true,
    };
    return clientGraph(
      asTold(readBlocks(text, source.where), told),
      this.#types,
      changes,
      ({ type, volume }) => log.info("layer is left out: this version has none", { type, volume }),
    ).blocks;
  }

  async #start(blocks: readonly VolumeBlock[]): Promise<void> {
    const { source } = this.#options;
    try {
      this.#graph = await ProxyGraph.start(blocks, {
        types: this.#types,
        env: this.#daemon.env,
      });
    } catch (error) {
      if (error instanceof RangeError) {
        throw new CommandError(`Cannot use ${source.where}: ${cause(error.message)}`);
      }
      throw cannotListen(error, "its port", "choose another with --listen");
    }
  }

  async #connected(entry: PortmapEntry, connection: Connection): Promise<void> {
    this.#reloads.connected();
    await entry.signIn(connection);
  }

  async #reloadNow(): Promise<void> {
    const { source } = this.#options, { log } = this.#daemon.env;
    try {
      const how = await this.#graph.apply(this.#blocks(await source.read()));
      if (how !== "restart") log.info("volfile read again", { from: source.where, how });
      else {log.error("volfile needs a restart: how clients connect changed", {
          from: source.where,
        });}
    } catch (error) {
      log.error("volfile was not taken over", { why: plain(error) });
    }
  }

  #dump(name: string): void {
    const { env, metrics } = this.#daemon;
    const facts = { metrics: metrics.read(), paths: new Map<string, string>() };
    dumpState(env, this.#options.statedumps, name, [
      ...graphSections(this.#graph.served, facts),
      ...graphDump(this.#graph.client),
    ]);
  }
}
