/** Options of all volumes, as `volume set all` changes them. */

import type { Cluster } from "mgmt/cluster/cluster.ts";
import { KEYS, optionsRecord } from "mgmt/records.ts";

type Options = Readonly<Record<string, string>>;

/**
 * Replaces them by what `change` makes of them, and makes volfiles and processes of all volumes
 * follow. If that fails they are again what they were. Throws what went wrong.
 */
export async function updateGlobalOptions(
  cluster: Cluster,
  change: (options: Options) => Options,
): Promise<void> {
  const before = await cluster.globalOptions();
  try {
    await replace(cluster, change);
  } catch (error) {
    await replace(cluster, () => before).catch((again) =>
      cluster.env.log.warn("options of all volumes could not be followed nor taken back", {
        error: String(again),
      })
    );
    throw error;
  }
}

async function replace(cluster: Cluster, change: (options: Options) => Options): Promise<void> {
  await cluster.store.transact(async (transaction) => {
    transaction.put(KEYS.options, change(optionsRecord(await transaction.get(KEYS.options) ?? {})));
  });
  for (const volume of await cluster.volumes()) await cluster.converge(volume);
}
