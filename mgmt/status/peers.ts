/** Nodes of the cluster, as `peer status` and `pool list` tell of them. */

import type { Cluster } from "mgmt/cluster/cluster.ts";

/** A node. */
export type PeerStatus = {
  readonly uuid: string;
  /** Its first name; "localhost" for this node. */
  readonly hostname: string;
  readonly connected: boolean;
  /** All its names, the first among them; absent for this node. */
  readonly hostnames?: readonly string[];
  /** Where it is in joining the cluster, by GlusterFS's number and words: 3, "Peer in Cluster"; absent for this node. */
  readonly stateId?: number;
  readonly state?: string;
};

/** The answer of `peer status` (the others) and of `pool list` (the others, then this node). */
export type PeersAnswer = { readonly peers: readonly PeerStatus[] };

/** The nodes other than this one: none, as long as a node cannot be joined by others. */
export function otherPeers(_cluster: Cluster): readonly PeerStatus[] {
  return [];
}
