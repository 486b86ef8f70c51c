/**
 * A volume's client graph as its volfile server has it, made of the layers that this program has.
 * Layers that only cache, count or watch are left out; those that decide how data is laid out are
 * needed, and a volume with one that is not here is refused by its name.
 */

import type { Env } from "core/env.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import type { XlatorTypes } from "core/registry.ts";
import { parseVolfile, type VolumeBlock } from "core/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import type { Address } from "mgmt/file/address.ts";
import { cause, plain } from "mgmt/plain.ts";
import { Connection } from "rpc/connection.ts";
import { RpcError } from "rpc/message.ts";
import { fetchVolfile } from "rpc/programs/handshake.ts";
import { connectTo } from "rpc/transport.ts";

/** Milliseconds that the volfile server may take. */
const SERVER_MS = 10_000;

/** GlusterFS's layers that change what is stored: without them files would be read and written wrong. */
const LAYOUT = /^(cluster|encryption)\/|^features\/(shard|cdc|compress|cloudsync)$/;
/** Layers that a command has no use for. */
const IDLE = /^(performance|debug|meta|mount)(\/|$)/;

/** Hears what was left out, a sentence each. */
export type Tell = (sentence: string) => void;

/** The volume's volfile. Throws CommandError. */
export async function fetchVolume(address: Address, env: Env): Promise<string> {
  const { host, port, volume } = address;
  const server = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const failed = (why: string) =>
    new CommandError(`Cannot get volume "${volume}" from ${server}: ${why}`);
  const signal = AbortSignal.timeout(SERVER_MS);
  let connection: Connection | undefined;
  try {
    const transport = await connectTo({ kind: "tcp", host, port }, {}, signal);
    connection = new Connection(transport, env, { programs: [] });
    const deadline = env.clock.monotonic() + SERVER_MS;
    const volfile = await fetchVolfile(connection, volume, deadline);
    if (volfile === undefined) throw failed("there is no such volume");
    return volfile;
  } catch (error) {
    if (error instanceof CommandError) throw error;
    if (signal.aborted) throw failed("no answer in time");
    if (error instanceof Deno.errors.ConnectionRefused) {
      throw failed("nothing listens there; is the management daemon running?");
    }
    if (error instanceof RpcError) throw failed("what listens there is no volfile server");
    if (error instanceof Error && /lookup address|resolve|not known/.test(error.message)) {
      throw failed("the host is not known");
    }
    throw failed(plain(error));
  } finally {
    connection?.close("done");
  }
}

/** The blocks that matter. Throws CommandError for a volume that cannot be used. */
export function usableBlocks(
  blocks: readonly VolumeBlock[],
  types: XlatorTypes,
  address: Pick<Address, "volume" | "port">,
  tell: Tell,
): VolumeBlock[] {
  const stands = new Map<string, string>();
  const used: VolumeBlock[] = [];
  for (const block of blocks) {
    const subvolumes = block.subvolumes.map((name) => stands.get(name) ?? name);
    const { name, type } = block;
    if (types.has(type) && !IDLE.test(type)) {
      used.push({ ...block, subvolumes, options: optionsFor(block, address) });
      continue;
    }
    if (LAYOUT.test(type) || subvolumes.length !== 1) {
      throw new CommandError(
        `Cannot use volume "${address.volume}": it needs ${type}, which this version does not have`,
      );
    }
    tell(`${type} (${name}) is left out: it is not needed to read or write files.`);
    stands.set(name, subvolumes[0]!);
  }
  return used;
}

// Bricks without a port are asked of the portmapper, which is where the volfile server is.
function optionsFor({ type, options }: VolumeBlock, { port }: Pick<Address, "port">) {
  if (type !== "protocol/client" || port === MANAGEMENT_PORT) return options;
  return options.has("remote-port") ? options : new Map(options).set("remote-port", String(port));
}

/** A started graph of the volume. Throws CommandError; at least one brick is connected. */
export async function openGraph(
  address: Address,
  types: XlatorTypes,
  env: Env,
  tell: Tell,
): Promise<Graph> {
  return await startGraph(await fetchVolume(address, env), address, { types, env, tell });
}

/** The same of a hand-written volfile. */
export async function openVolfile(
  path: string,
  types: XlatorTypes,
  env: Env,
  tell: Tell,
): Promise<Graph> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new CommandError(`Cannot read volfile "${path}": ${plain(error)}`);
  }
  return await startGraph(text, { volume: path, port: MANAGEMENT_PORT }, { types, env, tell });
}

/** The same of a volfile's text. */
export async function startGraph(
  volfile: string,
  address: Pick<Address, "volume" | "port">,
  { types, env, tell }: { readonly types: XlatorTypes; readonly env: Env; readonly tell: Tell },
): Promise<Graph> {
  let graph: Graph;
  try {
    graph = buildGraph(usableBlocks(parseVolfile(volfile), types, address, tell), types, env);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
    throw new CommandError(`Cannot use volume "${address.volume}": ${cause(error.message)}`);
  }
  await graph.start();
  const bricks = [...graph.nodes].filter(({ type }) => type.type === "protocol/client");
  const away = bricks.flatMap(({ block, xlator }) => {
    const state = xlator.state?.() as { connected?: boolean; problem?: string | null };
    return state.connected ? [] : [{ name: block.name, why: state.problem ?? "no answer" }];
  });
  for (const { name, why } of away) tell(`Brick ${name} is not connected: ${why}.`);
  if (bricks.length && away.length === bricks.length) {
    await graph.stop();
    throw new CommandError(
      `Cannot use volume "${address.volume}": none of its bricks can be reached, ${away[0]!.why}`,
    );
  }
  return graph;
}
