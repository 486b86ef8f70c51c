/** Volumes that GlusterFS's daemon made volfiles for (scripts/capture_volfiles.ts), as our records. */

import type { VolumeRecord } from "mgmt/records.ts";
import type { VolgenInput } from "mgmt/volgen/volgen.ts";
import golden from "./volfiles_golden.json" with { type: "json" };

/** A volume that was captured. */
export interface GoldenVolume {
  /** What it was made with: words between its name and its bricks. */
  readonly shape: string;
  readonly name: string;
  readonly id: string;
  readonly username: string;
  readonly password: string;
  readonly bricks: readonly string[];
  readonly cases: readonly GoldenCase[];
  /** Every block of its volfiles, once. */
  readonly blocks: readonly string[];
}

/** Its volfiles under one set of options. */
export interface GoldenCase {
  /** What `volume set` was told; those that glusterd sets by itself at creation are in `options`, too. */
  readonly set: string;
  /** As in its record on disk. */
  readonly options: Readonly<Record<string, string>>;
  /** Numbers of blocks by file name. */
  readonly files: Readonly<Record<string, readonly number[]>>;
}

/** All of them. */
export const GOLDEN: readonly GoldenVolume[] = golden;

/** The record of one of them, with the options of one case. */
export function goldenInput(volume: GoldenVolume, { options }: GoldenCase): VolgenInput {
  return {
    volume: goldenRecord(volume, options),
    globalOptions: {},
    nodeId: "8d8e6bd5-3e3a-4f5f-a3f6-2a6f3f7b6c0e",
    bindToHost: false,
    sharing: () => volume.bricks.length,
  };
}

function goldenRecord(
  { name, id, username, password, shape, bricks }: GoldenVolume,
  options: Readonly<Record<string, string>>,
): VolumeRecord {
  const count = (word: string) => Number(new RegExp(`${word} (\\d+)`).exec(shape)?.[1] ?? 0);
  const replicas = count("replica"), arbiters = count("arbiter"), fragments = count("disperse");
  return {
    name,
    id,
    username,
    password,
    options,
    state: "started",
    kind: replicas ? "replicate" : fragments ? "disperse" : "distribute",
    replicaCount: replicas + arbiters || 1,
    arbiterCount: arbiters,
    disperseCount: fragments,
    redundancyCount: count("redundancy"),
    stripeCount: 1,
    bricks: bricks.map((brick, index) => {
      const at = brick.indexOf(":");
      const clientName = `${name}-client-${index}`;
      return { host: brick.slice(0, at), path: brick.slice(at + 1), nodeId: id, clientName };
    }),
    version: 1,
    nextClient: bricks.length,
    createdAt: 0,
  };
}

/** What the daemon wrote into one of a case's files. */
export function goldenText({ blocks }: GoldenVolume, { files }: GoldenCase, file: string): string {
  return files[file]!.map((number) => blocks[number]!).join("\n");
}
