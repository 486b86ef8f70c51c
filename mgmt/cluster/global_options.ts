/** Options of all volumes, as `volume set all` changes them. */

import type { Cluster } from "mgmt/cluster/cluster.ts";
import { KEYS, optionsRecord } from "mgmt/records.ts";

/**
 * Replaces them by what `change` makes of them, and makes volfiles and processes of all volumes
 * follow. Throws what the processes throw.
 */
export async function updateGlobalOptions(
  cluster: Cluster,
  change: (options: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
): Promise<void> {
  await cluster.store.transact(async (transaction) => {
    transaction.put(KEYS.options, change(optionsRecord(await transaction.get(KEYS.options) ?? {})));
  });
  for (const volume of await cluster.volumes()) await cluster.converge(volume);
}
