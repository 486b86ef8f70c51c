/** A mount as a process: its graph, its volfile's changes, and what signals do to it. */

import { type ActiveGraph, startActiveGraph } from "core/graph_switch.ts";
import type { Graph } from "core/graph.ts";
import { ROOT } from "core/call.ts";
import { ENOTCONN, FopError } from "core/errno.ts";
import { InodeTable } from "core/inode.ts";
import { OptionError, readOptions } from "core/options.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { Xlator } from "core/xlator.ts";
import { overridden, type Override, readBlocks } from "mgmt/brick/volfile.ts";
import { CommandError, UsageError } from "mgmt/cli/command.ts";
import { type ClientGraph, clientGraph, type GraphChanges } from "mgmt/client/graph.ts";
import { LogLevels } from "mgmt/client/log_levels.ts";
import { Measurement } from "mgmt/client/measurement.ts";
import { Meta } from "mgmt/client/meta.ts";
import type { MetaParts } from "mgmt/client/meta_tree.ts";
import type { Source } from "mgmt/client/source.ts";
import type { Daemon } from "mgmt/daemon.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { cause, plain } from "mgmt/plain.ts";
import {
  type DumpSection,
  dumpState,
  dumpTime,
  shownOptions,
  stateSection,
} from "mgmt/statedump.ts";
import { VolfileReloads } from "mgmt/volfile_reloads.ts";

/** What a mount is told beside its volfile. */
export interface ClientOptions extends Omit<GraphChanges, "where" | "port"> {
  readonly source: Source;
  /** The management daemon, if the volfile is its. */
  readonly link: ManagementLink | undefined;
  readonly mountpoint: string;
  /** What lists of mounts show. */
  readonly shownSource: string;
  /** Options of mount/fuse; they win over those of the volfile. */
  readonly fuse: ReadonlyMap<string, string>;
  /** Whether files are found by their gfid, too. */
  readonly gfidAccess: boolean;
  readonly overrides: readonly Override[];
  readonly statedumps: string | undefined;
  readonly commandLine: readonly string[];
  /** Absent: standard error. */
  readonly logFile: string | undefined;
  /** Called when the volume is mounted, with what the volfile's writer may not have meant. */
  readonly mounted: (notes: readonly string[]) => void;
}

/** How long bricks are waited for that are not there yet, and how long until they are asked again. */
const BRICKS_MS = 5000, AGAIN_MS = 100;

/** The layer that mounts: of all layers, it alone can end by itself. */
interface Fuse extends Xlator {
  /** Resolves, with why, when the mount is gone. */
  readonly ended: Promise<string>;
}

/** See the head of this file. */
export class ClientProcess {
  readonly #daemon: Daemon;
  readonly #types: XlatorTypes;
  readonly #options: ClientOptions;
  #active!: ActiveGraph;
  #fuse: Fuse | undefined;
  #meta: Meta | undefined;
  #mountOptions: ReadonlyMap<string, string> = new Map();
  #named: { readonly graph: Graph; readonly name: string } | undefined;
  readonly #measurement: Measurement;
  readonly #reloads = new VolfileReloads(() => this.#reloadNow());

  constructor(daemon: Daemon, types: XlatorTypes, options: ClientOptions) {
    this.#daemon = daemon;
    this.#measurement = new Measurement(daemon.env.clock);
    this.#types = types;
    this.#options = options;
  }

  /** Mounts, and serves until the mount is gone; answers the exit code. Throws CommandError. */
  async run(): Promise<number> {
    const { source, link, mountpoint, mounted } = this.#options;
    const { env } = this.#daemon;
    const graph = this.#graphOf(await source.read());
    await this.#startGraph(graph);
    try {
      await this.#checkRoot();
      this.#daemon.handle({ reload: () => this.#reloads.again(), dump: () => this.#dump() });
      const top = this.#fuse = this.#makeFuse(graph);
      await this.#mount(top);
      this.#namedGraph();
      this.#daemon.ready("mounted", { mountpoint, from: source.where });
      mounted(graph.notes);
      link?.keep({
        connected: () => Promise.resolve(this.#reloads.connected()),
        volfileChanged: () => this.#reloads.again(),
      });
      top.ended.then((why) => {
        env.log.info("mount is gone", { mountpoint, why });
        this.#daemon.end(0);
      });
      const code = await this.#daemon.ended;
      await top.stop!();
      return code;
    } finally {
      await link?.stop();
      await this.#active.stop();
    }
  }

  #graphOf(text: string): ClientGraph {
    const { source, overrides, subdirectory, topVolume, worm = false } = this.#options;
    const { log } = this.#daemon.env;
    const changes = { where: source.where, port: source.port, subdirectory, topVolume, worm };
    const blocks = overridden(readBlocks(text, source.where), overrides);
    return clientGraph(blocks, this.#types, changes, ({ type, volume }) => {
      log.info("layer is left out: this version does not have it, files are the same without", {
        type,
        volume,
      });
    });
  }

  async #startGraph({ blocks }: ClientGraph): Promise<void> {
    const { env } = this.#daemon;
    const { source } = this.#options;
    try {
      this.#active = await startActiveGraph(blocks, {
        types: this.#types,
        env,
        inodes: new InodeTable(),
      });
    } catch (error) {
      if (error instanceof RangeError) {
        throw new CommandError(`Cannot use ${source.where}: ${cause(error.message)}`);
      }
      // Layers say all of what keeps them from starting.
      const why = plain(error);
      throw why.startsWith("Cannot ") ? new CommandError(why) : error;
    }
  }

  // A volume whose root cannot be looked at is no good as a directory. Bricks that are being started
  // are waited for: whoever starts a volume, or a machine, mounts right after that.
  async #checkRoot(): Promise<void> {
    const { clock } = this.#daemon.env;
    const { graph } = this.#active;
    const late = clock.monotonic() + BRICKS_MS;
    for (;;) {
      try {
        await this.#active.lookup(ROOT, { inode: graph.inodes.root, name: "" });
        return;
      } catch (error) {
        if (!(error instanceof FopError)) throw error;
        const away = awayBricks(graph);
        const waits = ENOTCONN.matches(error) && away.some(({ refused }) => !refused);
        if (!waits || clock.monotonic() > late) {
          const why = away.length ? `${away[0]!.name}: ${whyAway(away[0]!)}` : error.message;
          throw new CommandError(`Cannot mount ${this.#options.source.where}: ${why}`);
        }
      }
      const ended = await Promise.race([clock.delay(AGAIN_MS), this.#daemon.ended]);
      if (ended !== undefined) throw new CommandError("Cannot mount: it was told to end");
    }
  }

  #makeFuse({ mountOptions }: ClientGraph): Fuse {
    const { fuse: given, mountpoint, shownSource, gfidAccess } = this.#options;
    const { env } = this.#daemon;
    const { inodes } = this.#active.graph;
    const over = (name: string, child: Xlator) => ({ name, children: [child], env, inodes });
    // Above what may be switched: what stands for a directory does so in every graph.
    const files = gfidAccess
      ? this.#types.get("features/gfid-access")!.create(over("gfid-access", this.#active), {})
      : this.#active;
    const meta = this.#meta = new Meta(over("meta", files), this.#metaParts());
    const options = this.#mountOptions = new Map(
      [
        ...mountOptions,
        ...given,
        ["mountpoint", mountpoint],
        ["volume-name", shownSource],
      ] as const,
    );
    try {
      const type = this.#types.get("mount/fuse")!;
      const values = readOptions(type.options, options, (option) => {
        env.log.warn("mount option is not known and was ignored", { option });
      });
      return type.create(over("fuse", meta), values) as Fuse;
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      throw new UsageError(`Cannot mount: ${error.message}`);
    }
  }

  #metaParts(): MetaParts {
    const levels = new LogLevels(this.#daemon);
    return {
      graph: () => this.#namedGraph(),
      mount: () => this.#fuse && { layer: this.#fuse, options: this.#mountOptions },
      commandLine: this.#options.commandLine,
      processId: this.#daemon.env.random.uuid(),
      logFile: this.#options.logFile,
      logLevel: () => levels.number,
      setLogLevel: (level) => void (levels.number = level),
      measurement: this.#measurement,
      measure: (on) => this.#measure(on),
    };
  }

  // Named for where and when it became the live one, as GlusterFS names graphs.
  #namedGraph(): { graph: Graph; name: string } {
    const { graph } = this.#active;
    if (this.#named?.graph !== graph) {
      const time = dumpTime(this.#daemon.env.clock.now()).replace(" ", "-");
      this.#named = { graph, name: `${Deno.hostname()}-${Deno.pid}-${time}` };
    }
    return this.#named;
  }

  #measure(on: boolean): void {
    const layers = Array.from(this.#active.graph.nodes, ({ xlator }) => xlator);
    this.#measurement.measure(on ? [this.#meta!, ...layers] : []);
  }

  async #mount(top: Fuse): Promise<void> {
    try {
      await top.start!();
    } catch (error) {
      const why = plain(error);
      throw new CommandError(
        why.startsWith("Cannot ") ? why : `Cannot mount on "${this.#options.mountpoint}": ${why}`,
      );
    }
  }

  async #reloadNow(): Promise<void> {
    const { source } = this.#options;
    const { log } = this.#daemon.env;
    try {
      const { blocks } = this.#graphOf(await source.read());
      log.info("volfile read again", { from: source.where, how: await this.#active.apply(blocks) });
      this.#namedGraph();
      if (this.#measurement.on) this.#measure(true);
    } catch (error) {
      // Whatever it is, files are served on as they were.
      log.error("volfile was not taken over", { why: plain(error) });
    }
  }

  #dump(): void {
    const { env, metrics } = this.#daemon;
    const sections: DumpSection[] = [
      { title: "metrics", entries: metrics.read().map(({ name, value }) => [name, value]) },
      stateSection("mount/fuse", this.#fuse?.state?.() ?? null),
      ...graphDump(this.#active.graph),
    ];
    dumpState(env, this.#options.statedumps, "glusterdump", sections);
  }
}

/** Sections of a client's layers, top first. */
export function* graphDump(graph: Graph): Generator<DumpSection> {
  for (const { block, xlator } of [...graph.nodes].reverse()) {
    const state = xlator.state?.();
    if (state !== undefined) yield stateSection(`${block.type}.${block.name}`, state);
    yield {
      title: `${block.type}.${block.name} - options`,
      entries: Object.entries(shownOptions(block.options)),
    };
  }
}

/** A brick without a connection. */
interface AwayBrick {
  readonly name: string;
  readonly why: string;
  readonly refused: boolean;
}

// What the management daemon says of every brick of a volume that is stopped.
function whyAway({ why }: AwayBrick): string {
  return why.includes("portmapper knows no brick") ? `${why}; is the volume started?` : why;
}

function awayBricks(graph: Graph): AwayBrick[] {
  return [...graph.nodes].flatMap(({ block, type, xlator }) => {
    if (type.type !== "protocol/client") return [];
    const host = block.options.get("remote-host") ?? "localhost";
    const name = `${block.name} (${host}:${block.options.get("remote-subvolume")})`;
    const { connected, problem, refused = false } = xlator.state?.() as ClientState;
    return connected ? [] : [{ name, why: problem ?? "no answer", refused }];
  });
}

/** What protocol/client tells. */
interface ClientState {
  readonly connected?: boolean;
  readonly problem?: string | null;
  readonly refused?: boolean;
}
