/** Files of volumes, and of their snapshots, as exports of an NBD server. */

import type { Env } from "core/env.ts";
import { FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import { isRegular } from "core/iatt.ts";
import type { XlatorTypes } from "core/registry.ts";
import { Volume } from "core/volume.ts";
import { type Disk, type Exports, Unavailable } from "gateways/nbd/disk.ts";
import { VolumeDisk } from "gateways/nbd/volume_disk.ts";
import { CommandError, UsageError } from "mgmt/cli/command.ts";
import { type Address, parseAddress } from "mgmt/file/address.ts";
import { openGraph, openVolfile } from "mgmt/file/client_graph.ts";
import { caller } from "mgmt/file/session.ts";

/** One export. */
export interface ExportSpec {
  readonly name: string;
  /** Of a hand-written graph `volume` is the path of its volfile, and there is no host. */
  readonly address: Address;
  /** Name of a snapshot of the volume; undefined: the live file. */
  readonly snapshot: string | undefined;
  readonly readOnly: boolean;
}

/** Longest name that clients must understand (NBD's doc/proto.md). */
const NAME_BYTES_MAX = 4096;

/** What is said of all exports. */
export interface ParseOptions {
  readonly readOnly: boolean;
  /** Path of a hand-written graph that the files are in. */
  readonly volfile: string | undefined;
}

/**
 * Reads `NAME=HOST:VOLUME/PATH[@SNAPSHOT]`, or `NAME=/PATH` of a hand-written graph; what ends in "@"
 * has no snapshot, for names with an "@" in them. Throws UsageError.
 */
export function parseExport(text: string, { readOnly, volfile }: ParseOptions): ExportSpec {
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
  if (volfile !== undefined) {
    if (!given.startsWith("/")) throw new UsageError(`Cannot export "${given}": expected /PATH`);
    const address = { host: "", port: 0, volume: volfile, path: given, text: given };
    return { name, address, snapshot: undefined, readOnly };
  }
  const mark = given.lastIndexOf("@");
  const inPath = mark > given.indexOf("/");
  const address = parseAddress(inPath ? given.slice(0, mark) : given);
  if (address.path === "/") {
    throw new UsageError(`Cannot export "${given}": expected the path of a file`);
  }
  const snapshot = inPath ? given.slice(mark + 1) || undefined : undefined;
  return { name, address, snapshot, readOnly };
}

/** How to serve them. */
export interface VolumeExportsOptions {
  readonly types: XlatorTypes;
  readonly env: Env;
}

interface Connected {
  readonly graph: Graph;
  readonly volume: Volume;
}

/** See the head of this file. Dispose it when no disk is open any more: connections end. */
export class VolumeExports implements Exports, AsyncDisposable {
  readonly #options: VolumeExportsOptions;
  #specs: ReadonlyMap<string, ExportSpec> = new Map();
  /** By volume; one that could not be connected to is tried again when it is next asked for. */
  #volumes = new Map<string, Promise<Connected>>();

  constructor(options: VolumeExportsOptions) {
    this.#options = options;
  }

  /** From now on these are served and no others. Volumes are connected to when they are asked for. */
  async replace(specs: readonly ExportSpec[]): Promise<void> {
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
    const wanted = new Set(specs.map(volumeKey));
    const left = [...this.#volumes.keys()].filter((key) => !wanted.has(key));
    await Promise.all(left.map((key) => this.#leave(key)));
  }

  /** Whether all of them are there. Throws CommandError. */
  async check(): Promise<void> {
    for (const spec of this.#specs.values()) {
      const { volume } = await this.#connected(spec), { address } = spec;
      try {
        const { stat } = await volume.lookup(address.path);
        if (isRegular(stat)) continue;
      } catch (error) {
        if (!(error instanceof FopError)) throw error;
        throw new CommandError(`Cannot export ${address.text}: ${error.message}`);
      }
      throw new CommandError(`Cannot export ${address.text}: it is no file`);
    }
  }

  /** What a name stands for now, however the exports change later. */
  meanings(): (name: string) => string | undefined {
    const specs = this.#specs;
    return (name) => {
      const spec = find(specs, name);
      return spec && `${volumeKey(spec)} ${spec.address.path} ${spec.readOnly}`;
    };
  }

  list(): { name: string; description: string }[] {
    return [...this.#specs].map(([name, spec]) => ({ name, description: described(spec) }));
  }

  async open(name: string): Promise<Disk | undefined> {
    const spec = find(this.#specs, name);
    if (!spec) return undefined;
    const readOnly = spec.readOnly || spec.snapshot !== undefined;
    try {
      const { volume } = await this.#connected(spec);
      const file = await volume.open(spec.address.path, { read: true, write: !readOnly });
      try {
        return await VolumeDisk.of(file, { readOnly, description: described(spec) });
      } catch (error) {
        await file.abandon();
        throw error;
      }
    } catch (error) {
      if (error instanceof FopError || error instanceof CommandError) {
        throw new Unavailable(error.message);
      }
      throw error;
    }
  }

  #connected(spec: ExportSpec): Promise<Connected> {
    const key = volumeKey(spec), there = this.#volumes.get(key);
    if (there) return there;
    const connected = this.#connect(spec);
    this.#volumes.set(key, connected);
    connected.catch(() => this.#volumes.delete(key));
    return connected;
  }

  async #connect(spec: ExportSpec): Promise<Connected> {
    const { types, env } = this.#options;
    const tell = (sentence: string) => env.log.debug(sentence);
    const address = { ...spec.address, volume: volumeId(spec) };
    const graph = address.host === ""
      ? await openVolfile(address.volume, types, env, tell)
      : await openGraph(address, types, env, tell);
    const parts = { top: graph.top, inodes: graph.inodes, env, call: caller() };
    return { graph, volume: new Volume(parts) };
  }

  async #leave(key: string): Promise<void> {
    const connected = this.#volumes.get(key);
    this.#volumes.delete(key);
    const { graph } = await connected?.catch(() => undefined) ?? {};
    await graph?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.replace([]);
  }
}

/** "" is the only one, if there is only one. */
function find(specs: ReadonlyMap<string, ExportSpec>, name: string): ExportSpec | undefined {
  return name === "" && specs.size === 1 ? specs.values().next().value : specs.get(name);
}

function volumeId({ address: { volume }, snapshot }: ExportSpec): string {
  return snapshot === undefined ? volume : `/snaps/${snapshot}/${volume}`;
}

/** Exports with the same one share a connection. */
function volumeKey(spec: ExportSpec): string {
  return `${spec.address.host} ${spec.address.port} ${volumeId(spec)}`;
}

function described({ address, snapshot }: ExportSpec): string {
  const { volume, path } = address;
  return snapshot === undefined ? `${volume}${path}` : `${volume}${path} as of ${snapshot}`;
}
