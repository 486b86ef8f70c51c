/** What a guest does to its disk, for where QEMU's tools are not: one write over NBD. */

import { COMMAND } from "gateways/nbd/wire.ts";
import { NbdClient, u32 } from "tests/fakes/nbd_client.ts";

/** Writes `data` at `offset` of an export, and waits until that is done. Throws if it is refused. */
export async function writeByNbd(
  socket: string,
  name: string,
  offset: number,
  data: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const connection = await Deno.connect({ transport: "unix", path: socket });
  using client = new NbdClient(connection);
  const GREETING_BYTES = 18, FIXED_NEWSTYLE = 1;
  await client.incoming.take(GREETING_BYTES);
  await client.send(u32(FIXED_NEWSTYLE));
  await client.go(name);
  await client.request(COMMAND.write, { offset: BigInt(offset), data });
  const { error } = await client.reply();
  if (error) throw new Error(`the disk refused a write: error ${error}`);
  await client.request(COMMAND.disconnect);
}
