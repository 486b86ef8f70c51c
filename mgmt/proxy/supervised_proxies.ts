/** The proxies of this node's volumes: each that has one switched on is served by a process of its own. */

import type { Env } from "core/env.ts";
import { lastLine } from "mgmt/bricks/log_tail.ts";
import type { Ports } from "mgmt/bricks/ports.ts";
import type { CommandLine, Running } from "mgmt/bricks/runner.ts";
import { plain } from "mgmt/plain.ts";
import type { PortmapEars, SignedIn } from "mgmt/portmap.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { SupervisedProcess, type SupervisedProcessOptions } from "mgmt/supervised_process.ts";
import { hasProxy, proxyName } from "mgmt/volgen/own_graph.ts";
import { endpointText } from "rpc/transport.ts";

/** What the processes are made of. */
export interface SupervisedProxiesOptions
  extends Pick<SupervisedProcessOptions, "env" | "places" | "runner" | "restart"> {
  /** This program in a role. */
  readonly program: (role: "proxy") => CommandLine;
  /** Where they find this daemon, now that it listens. */
  readonly server: () => { readonly host: string; readonly port: number };
  /** UUID of this node. */
  readonly nodeId: string;
  /** Those of the bricks, too. */
  readonly ports: Ports;
}

/** How a proxy is. */
export interface ProxyStatus {
  /** Signed in, with a process that lives. */
  readonly online: boolean;
  readonly pid: number | undefined;
  readonly port: number | undefined;
  /** Why it is not online, for people. */
  readonly why: string | undefined;
}

/** How long one may take until it signs in, and how often that is looked for. */
const UP_MS = 20_000, LOOK_MS = 50;

/** See the head of this file. */
export class SupervisedProxies {
  readonly #options: SupervisedProxiesOptions;
  readonly #signedIn = new Map<string, SignedIn>();
  readonly #proxies = new Map<string, SupervisedProxy>();
  #stopped = false;

  constructor(options: SupervisedProxiesOptions) {
    this.#options = options;
  }

  /**
   * Makes the proxy of `volume` what its record says. Resolves when it is online, or gone, or will not
   * come up for now, which is logged.
   */
  async converge(volume: VolumeRecord): Promise<void> {
    if (this.#stopped) return;
    const { name, bricks } = volume, { nodeId } = this.#options;
    const isHere = bricks.some((brick) => brick.nodeId === nodeId);
    const wanted = volume.state === "started" && hasProxy(volume) && isHere;
    await this.#proxy(name).converge(wanted);
  }

  #proxy(volume: string): SupervisedProxy {
    const known = this.#proxies.get(volume) ??
      new SupervisedProxy(volume, this.#options, this.#signedIn);
    this.#proxies.set(volume, known);
    return known;
  }

  status({ name }: VolumeRecord): ProxyStatus {
    return this.#proxy(name).status;
  }

  /** Where what clients ask for by `brick` is served, even if it has not signed in here yet. */
  portOf(brick: string): number | undefined {
    return this.#of(brick)?.status.port;
  }

  #of(brick: string): SupervisedProxy | undefined {
    return [...this.#proxies.values()].find(({ brick: own }) => own === brick);
  }

  /** What the portmap tells us. */
  readonly ears: PortmapEars = {
    signedIn: (entry) => {
      this.#signedIn.set(entry.brick, entry);
      this.#of(entry.brick)?.signedIn();
    },
    signedOut: (brick) => void this.#signedIn.delete(brick),
    gone: (brick) => void this.#signedIn.delete(brick),
  };

  /** Watches no more; the processes run on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#proxies.values()].map((each) => each.stop()));
  }
}

/** That of one volume. */
class SupervisedProxy {
  readonly brick: string;
  readonly #volume: string;
  readonly #options: SupervisedProxiesOptions;
  readonly #signedIn: ReadonlyMap<string, SignedIn>;
  readonly #process: SupervisedProcess;
  #wanted = false;
  #port: number | undefined;
  // Of an earlier daemon: it serves, and signs in here when it finds us.
  #inherited: Running | undefined;
  #why: string | undefined;
  #steps: Promise<void> = Promise.resolve();

  constructor(
    volume: string,
    options: SupervisedProxiesOptions,
    signedIn: ReadonlyMap<string, SignedIn>,
  ) {
    const { env, places, runner, restart } = options;
    this.brick = proxyName(volume);
    this.#volume = volume;
    this.#options = options;
    this.#signedIn = signedIn;
    this.#process = new SupervisedProcess({
      ...{ env, places, runner, restart },
      what: `proxy of ${volume}`,
      name: `proxy-${volume}`,
      again: () => this.converge(this.#wanted),
    });
  }

  get status(): ProxyStatus {
    const { running } = this.#process, entry = this.#signedIn.get(this.brick);
    const pid = running?.pid;
    const told = running && entry?.pid === pid ? entry?.port : undefined;
    const port = told ?? (running && running === this.#inherited ? this.#port : undefined);
    const online = port !== undefined;
    const why = running ? "it has not signed in" : this.#why;
    return { online, pid, port, why: online || !this.#wanted ? undefined : why };
  }

  /** From now on it is online as long as it is signed in. */
  signedIn(): void {
    this.#inherited = undefined;
  }

  /** What goes wrong is logged. */
  converge(wanted: boolean): Promise<void> {
    return this.#steps = this.#steps.then(() => this.#follow(wanted)).catch((error) => {
      this.#why = plain(error);
      this.#env.log.error("proxy is not as it should be", { volume: this.#volume, why: this.#why });
    });
  }

  get #env(): Env {
    return this.#options.env;
  }

  async #follow(wanted: boolean): Promise<void> {
    const known = this.#process.running;
    await this.#process.adopt();
    this.#wanted = wanted;
    if (!wanted) return await this.#end();
    const { running } = this.#process;
    if (running && running !== known && !this.#inherit(running)) await this.#end();
    if (!this.#process.running) await this.#start();
  }

  // One that is to listen elsewhere, or that looks for a daemon elsewhere, is no good any more.
  #inherit(running: Running): boolean {
    const port = Number(
      /^bricks:(\d+)$/.exec(running.args[running.args.indexOf(LISTEN) + 1]!)?.[1],
    );
    if (!running.args.includes(this.#from) || !port) return false;
    this.#port = this.#options.ports.hold(port);
    if (this.#signedIn.get(this.brick)?.pid !== running.pid) this.#inherited = running;
    return true;
  }

  get #from(): string {
    return `${endpointText({ kind: "tcp", ...this.#options.server() })}:${this.#volume}`;
  }

  async #start(): Promise<void> {
    const { program, places, ports } = this.#options;
    const { pid, log } = this.#process.files;
    this.#giveUpPort();
    // Clients ask for the port each time, but rules of a firewall may name it.
    const port = this.#port = ports.take(this.#port);
    if (port === undefined) throw new Error("no port is free for it");
    const { command, args } = program("proxy");
    const own = [this.#from, LISTEN, `bricks:${port}`];
    const files = ["-p", pid, "-l", log, "--statedump-dir", places.run];
    await this.#process.start({ command, args: [...args, ...own, ...files] });
    await this.#comesUp(log);
  }

  async #comesUp(log: string): Promise<void> {
    const { clock } = this.#env;
    for (const until = clock.monotonic() + UP_MS; clock.monotonic() < until;) {
      if (this.status.online) return void (this.#why = undefined);
      if (!this.#process.running) {
        throw new Error(await lastLine(log) ?? "it ended as soon as it had started");
      }
      await clock.delay(LOOK_MS);
    }
    throw new Error(`it did not come up within ${UP_MS / 1000} s; see ${log}`);
  }

  #giveUpPort(): void {
    if (this.#port !== undefined) this.#options.ports.give(this.#port);
  }

  async #end(): Promise<void> {
    this.#giveUpPort();
    this.#port = undefined;
    await this.#process.end();
  }

  /** Watches no more; the process runs on. */
  async stop(): Promise<void> {
    this.#process.stop();
    await this.#steps;
  }
}

const LISTEN = "--listen";
