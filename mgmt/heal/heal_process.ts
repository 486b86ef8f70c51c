/**
 * The self-heal daemon: volumes whose copies it heals, from volfiles of the management daemon or from
 * files, and the orders it takes.
 */

import { EINVAL } from "core/errno.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { readBlocks } from "mgmt/brick/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Daemon } from "mgmt/daemon.ts";
import { cannotListen } from "mgmt/endpoints.ts";
import { answerDict, type HealAnswer, type HealOrder, orderOf } from "mgmt/heal/orders.ts";
import { VolumeHeal } from "mgmt/heal/volume_heal.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { plain } from "mgmt/plain.ts";
import { dumpState, stateSection } from "mgmt/statedump.ts";
import { procedures, type Program, serve } from "rpc/program.ts";
import { BRICK_OPS_NAME, BRICK_OPS_PROGRAM, terminate, xlatorOp } from "rpc/programs/brick_ops.ts";
import { fetchVolfile } from "rpc/programs/handshake.ts";
import { Listener } from "rpc/server.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** What it is told. */
export interface HealOptions {
  /** Hand-written volfiles to begin with. */
  readonly files: readonly string[];
  /** Volumes to begin with, whose volfiles `link`'s management daemon has. */
  readonly volumes: readonly string[];
  readonly link: ManagementLink | undefined;
  /** Unix socket on which it takes orders. */
  readonly socket: string | undefined;
  readonly statedumps: string | undefined;
}

const GETSPEC_MS = 20_000, CONNECTIONS_MAX = 64;
/** A volume whose volfile could not be had is tried again. */
const AGAIN_MS = 3000;

/** See the head of this file. */
export class HealProcess {
  readonly #daemon: Daemon;
  readonly #options: HealOptions;
  readonly #volumes = new Map<string, VolumeHeal>();
  #wanted: ReadonlySet<string>;
  #turn: Promise<void> = Promise.resolve();
  #listener: Listener | undefined;

  constructor(daemon: Daemon, options: HealOptions) {
    this.#daemon = daemon;
    this.#options = options;
    this.#wanted = new Set(options.volumes);
  }

  /** Heals until the daemon is told to end; answers the exit code. Throws CommandError. */
  async run(): Promise<number> {
    const { link, files, socket } = this.#options;
    const { env } = this.#daemon;
    this.#daemon.handle({
      reload: () => this.#refresh(),
      dump: () => {
        const parts = [...this.#volumes].flatMap(([name, heal]) => [
          stateSection(`heal.${name}`, heal.state()),
          ...Array.from(heal.sets(), ({ title, state }) => stateSection(title, state)),
        ]);
        dumpState(env, this.#options.statedumps, "glustershd", parts);
      },
    });
    try {
      for (const path of files) await this.#begin(path, await fileBlocks(path));
      if (socket !== undefined) await this.#listen(socket);
      this.#refresh();
      link?.keep({
        connected: () => Promise.resolve(this.#refresh()),
        volfileChanged: () => this.#refresh(),
      });
      this.#daemon.ready("healer ready", { volumes: [...this.#wanted, ...files].join(",") });
      return await this.#daemon.ended;
    } finally {
      await link?.stop();
      await this.#turn;
      await this.#listener?.stop();
      if (socket !== undefined) await Deno.remove(socket).catch(() => {});
      await Promise.all([...this.#volumes.values()].map((heal) => heal.stop()));
      env.log.info("healer stopped");
    }
  }

  // One at a time: two changes that come at once are taken over one after the other.
  #refresh(): void {
    this.#turn = this.#turn.then(() => this.#refreshNow());
  }

  async #refreshNow(): Promise<void> {
    const { files } = this.#options;
    const { log, clock } = this.#daemon.env;
    for (const [name, heal] of this.#volumes) {
      if (this.#wanted.has(name) || files.includes(name)) continue;
      this.#volumes.delete(name);
      await heal.stop();
      log.info("volume is healed no more", { volume: name });
    }
    for (const name of this.#wanted) {
      try {
        await this.#take(name);
      } catch (error) {
        log.warn("volume is not healed", { volume: name, why: plain(error) });
        clock.after(AGAIN_MS, () => this.#refresh());
      }
    }
  }

  async #take(name: string): Promise<void> {
    const blocks = await this.#fetch(name);
    const heal = this.#volumes.get(name);
    if (heal?.reconfigure(blocks)) return;
    this.#volumes.delete(name);
    await heal?.stop();
    await this.#begin(name, blocks);
  }

  async #begin(name: string, blocks: readonly VolumeBlock[]): Promise<void> {
    const { env } = this.#daemon;
    const heal = new VolumeHeal({ ...env, log: env.log.with({ volume: name }) }, name, blocks);
    this.#volumes.set(name, heal);
    await heal.start();
  }

  async #fetch(name: string): Promise<VolumeBlock[]> {
    const link = this.#options.link!;
    const { clock } = this.#daemon.env;
    const connection = link.connection ?? await link.connect();
    const key = `shd/${name}`;
    const text = await fetchVolfile(connection, key, clock.monotonic() + GETSPEC_MS);
    if (text === undefined) throw new CommandError(`there is no volfile "${key}"`);
    return readBlocks(text, `volfile "${key}"`);
  }

  async #listen(path: string): Promise<void> {
    const { env } = this.#daemon;
    await removeStaleSocket(path);
    try {
      this.#listener = new Listener({ kind: "unix", path }, env, {
        programs: () => [this.#program()],
        connectionsMax: CONNECTIONS_MAX,
      });
    } catch (error) {
      throw cannotListen(error, `"${path}"`, "choose another with --socket-file");
    }
  }

  #program(): Program {
    const good = { ret: 0, errno: 0, error: "" };
    const answer = serve(xlatorOp, async ({ input }) => {
      try {
        return { ...good, output: answerDict(await this.obey(orderOf(input))) };
      } catch (error) {
        return { ret: -1, errno: EINVAL.errno, error: plain(error), output: undefined };
      }
    });
    const end = serve(terminate, () => {
      this.#daemon.end(0);
      return { ...good, output: undefined };
    });
    return {
      ...BRICK_OPS_PROGRAM,
      name: BRICK_OPS_NAME,
      procedures: procedures([[xlatorOp.procedure, answer], [terminate.procedure, end]]),
    };
  }

  /** Carries an order out. */
  async obey(order: HealOrder): Promise<HealAnswer> {
    if (order.order === "volumes") {
      this.#wanted = new Set(order.names);
      this.#refresh();
      await this.#turn;
      return {};
    }
    // One that is just being taken over, as at the start, is waited for.
    if (!this.#volumes.has(order.volume)) await this.#turn;
    const heal = this.#volumes.get(order.volume);
    if (!heal) return { error: `volume ${order.volume} is not healed by this daemon` };
    switch (order.order) {
      case "index":
      case "full":
        heal.heal(order.order);
        return { away: await heal.away() };
      case "statistics":
        return { crawls: heal.crawls };
      case "counts":
        return { counts: await heal.counts() };
      case "entries":
        return { entries: await heal.entries(order.brick) };
      case "decide":
        return { decided: await heal.decide(order.file, order.right) };
    }
  }
}

async function fileBlocks(path: string): Promise<VolumeBlock[]> {
  const where = `volfile "${path}"`;
  try {
    return readBlocks(await Deno.readTextFile(path), where);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`Cannot read ${where}: ${plain(error)}`);
  }
}
