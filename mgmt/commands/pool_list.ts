/** `pool list`: all nodes of the cluster, this one included. */

import { managed } from "mgmt/cli/managed.ts";
import { otherPeers, type PeersAnswer } from "mgmt/status/peers.ts";
import { peersXml, poolListText } from "mgmt/status/peers_shown.ts";

/** See the head of this file. */
export const poolList = managed({
  path: "pool list",
  summary: "list all the nodes in the pool (including localhost)",
  args: {},
  scope: "nothing",
  rest: "GET /nodes",
  examples: [{ what: "All nodes", line: "mortar pool list" }],
  apply: (cluster): PeersAnswer => ({
    peers: [
      ...otherPeers(cluster),
      { uuid: cluster.nodeId, hostname: "localhost", connected: true },
    ],
  }),
  text: ({ peers }) => poolListText(peers),
  xml: ({ peers }) => [peersXml(peers)],
});
