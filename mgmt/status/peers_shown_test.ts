import { strictEqual as equal } from "node:assert/strict";
import { printXml } from "mgmt/cli/xml.ts";
import type { PeerStatus } from "mgmt/status/peers.ts";
import { peerStatusText, peersXml, poolListText } from "mgmt/status/peers_shown.ts";

const OTHER: PeerStatus = {
  uuid: "0c5a1c6e-0a86-4c4c-8f3c-6a9b1c8a51c2",
  hostname: "10.0.0.2",
  connected: false,
  hostnames: ["10.0.0.2", "second-node.example"],
  stateId: 3,
  state: "Peer in Cluster",
};
const OWN: PeerStatus = {
  uuid: "c026f440-4e6b-4598-bfcd-de78e0922d8d",
  hostname: "localhost",
  connected: true,
};

Deno.test("peer status: a node with two names that is away is shown with both", () => {
  equal(
    peerStatusText([OTHER]),
    `Number of Peers: 1

Hostname: 10.0.0.2
Uuid: 0c5a1c6e-0a86-4c4c-8f3c-6a9b1c8a51c2
State: Peer in Cluster (Disconnected)
Other names:
second-node.example
`,
  );
});

Deno.test("pool list: names of several lengths stand in one column", () => {
  equal(
    poolListText([{ ...OTHER, hostname: "second-node.example" }, OWN]),
    "UUID\t\t\t\t\tHostname           \tState\n" +
      "0c5a1c6e-0a86-4c4c-8f3c-6a9b1c8a51c2\tsecond-node.example\tDisconnected \n" +
      "c026f440-4e6b-4598-bfcd-de78e0922d8d\tlocalhost          \tConnected \n",
  );
});

Deno.test("pool list: in XML this node has no state and no list of names", () => {
  equal(
    printXml(peersXml([OTHER, OWN])),
    `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<peerStatus>
  <peer>
    <uuid>0c5a1c6e-0a86-4c4c-8f3c-6a9b1c8a51c2</uuid>
    <hostname>10.0.0.2</hostname>
    <hostnames>
      <hostname>10.0.0.2</hostname>
      <hostname>second-node.example</hostname>
    </hostnames>
    <connected>0</connected>
    <state>3</state>
    <stateStr>Peer in Cluster</stateStr>
  </peer>
  <peer>
    <uuid>c026f440-4e6b-4598-bfcd-de78e0922d8d</uuid>
    <hostname>localhost</hostname>
    <connected>1</connected>
  </peer>
</peerStatus>
`,
  );
});
