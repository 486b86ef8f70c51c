/** Files of volumes, and of their snapshots, as exports of an NBD server. */

import type { Env } from "core/env.ts";
import { FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import { isRegular } from "core/iatt.ts";
import type { XlatorTypes } from "core/registry.ts";
import { Volume } from "core/volume.ts";
import type { Disk, Exports } from "gateways/nbd/disk.ts";
import { VolumeDisk } from "gateways/nbd/volume_disk.ts";
import { CommandError, UsageError } from "mgmt/cli/command.ts";
import { type Address, parseAddress } from "mgmt/file/address.ts";
import { openGraph } from "mgmt/file/client_graph.ts";
import { caller } from "mgmt/file/session.ts";

/** One export. */
export interface ExportSpec {
  readonly name: string;
  readonly address: Address;
  /** Name of a snapshot of the volume; undefined: the live file. */
  readonly snapshot: string | undefined;
}

/** Longest name that clients must understand (NBD's doc/proto.md). */
const NAME_BYTES_MAX = 4096;

/**
 * Reads `NAME=HOST:VOLUME/PATH[@SNAPSHOT]`; what ends in "@" has no snapshot, for names with an "@"
 * in them. Throws UsageError.
 */
export function parseExport(text: string): ExportSpec {
  const at = text.indexOf("=");
  if (at < 1) {
    throw new UsageError(
      `Cannot export "${text}": expected NAME=HOST:VOLUME/PATH, or with @SNAPSHOT at the end`,
    );
  }
  const name = text.slice(0, at), given = text.slice(at + 1);
  if (new TextEncoder().encode(name).length > NAME_BYTES_MAX) {
    throw new UsageError(`Cannot export "${name.slice(0, 40)}…": the name is too long`);
  }
  const mark = given.lastIndexOf("@");
  const inPath = mark > given.indexOf("/");
  const address = parseAddress(inPath ? given.slice(0, mark) : given);
  if (address.path === "/") {
    throw new UsageError(`Cannot export "${given}": expected the path of a file`);
  }
  return { name, address, snapshot: inPath ? given.slice(mark + 1) || undefined : undefined };
}

/** How to serve them. */
export interface VolumeExportsOptions {
  readonly types: XlatorTypes;
  readonly env: Env;
  readonly readOnly: boolean;
}

interface Opened {
  readonly spec: ExportSpec;
  readonly volume: Volume;
}

/** See the head of this file. Dispose it when no disk is open any more: connections end. */
export class VolumeExports implements Exports, AsyncDisposable {
  readonly #readOnly: boolean;
  #graphs = new Map<string, { readonly graph: Graph; readonly volume: Volume }>();
  #opened = new Map<string, Opened>();

  private constructor(readOnly: boolean) {
    this.#readOnly = readOnly;
  }

  /** Connects to the volumes and looks whether the files are there. Throws CommandError, UsageError. */
  static async open(
    specs: readonly ExportSpec[],
    options: VolumeExportsOptions,
  ): Promise<VolumeExports> {
    const exports = new VolumeExports(options.readOnly);
    try {
      for (const spec of specs) await exports.#add(spec, options);
    } catch (error) {
      await exports[Symbol.asyncDispose]();
      throw error;
    }
    return exports;
  }

  async #add(spec: ExportSpec, { types, env }: VolumeExportsOptions): Promise<void> {
    const { name, address, snapshot } = spec;
    if (this.#opened.has(name)) throw new UsageError(`Cannot export "${name}" twice`);
    const id = snapshot === undefined ? address.volume : `/snaps/${snapshot}/${address.volume}`;
    const key = `${address.host} ${address.port} ${id}`;
    let at = this.#graphs.get(key);
    if (!at) {
      const tell = (sentence: string) => env.log.debug(sentence);
      const graph = await openGraph({ ...address, volume: id }, types, env, tell);
      const parts = { top: graph.top, inodes: graph.inodes, env, call: caller() };
      this.#graphs.set(key, at = { graph, volume: new Volume(parts) });
    }
    try {
      const { stat } = await at.volume.lookup(address.path);
      if (!isRegular(stat)) throw new CommandError(`Cannot export ${address.text}: it is no file`);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      throw new CommandError(`Cannot export ${address.text}: ${error.message}`);
    }
    this.#opened.set(name, { spec, volume: at.volume });
  }

  list(): { name: string; description: string }[] {
    return [...this.#opened].map(([name, { spec }]) => ({ name, description: described(spec) }));
  }

  async open(name: string): Promise<Disk | undefined> {
    const only = name === "" && this.#opened.size === 1;
    const found = only ? this.#opened.values().next().value : this.#opened.get(name);
    if (!found) return undefined;
    const { spec, volume } = found;
    const readOnly = this.#readOnly || spec.snapshot !== undefined;
    const file = await volume.open(spec.address.path, { read: true, write: !readOnly });
    try {
      return await VolumeDisk.of(file, { readOnly, description: described(spec) });
    } catch (error) {
      await file.abandon();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { graph } of this.#graphs.values()) await graph.stop();
    this.#graphs.clear();
  }
}

function described({ address, snapshot }: ExportSpec): string {
  const { volume, path } = address;
  return snapshot === undefined ? `${volume}${path}` : `${volume}${path} as of ${snapshot}`;
}
