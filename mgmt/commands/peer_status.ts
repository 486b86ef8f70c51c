/** `peer status`: the other nodes of the cluster. */

import { managed } from "mgmt/cli/managed.ts";
import { otherPeers, type PeersAnswer } from "mgmt/status/peers.ts";
import { peerStatusText, peersXml } from "mgmt/status/peers_shown.ts";

/** See the head of this file. */
export const peerStatus = managed({
  path: "peer status",
  summary: "list status of peers",
  args: {},
  scope: "nothing",
  rest: "GET /peers",
  examples: [{ what: "The other nodes", line: "mortar peer status" }],
  apply: (cluster): PeersAnswer => ({ peers: otherPeers(cluster) }),
  text: ({ peers }) => peerStatusText(peers),
  xml: ({ peers }) => [peersXml(peers)],
});
