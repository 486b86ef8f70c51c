/** Nodes as GlusterFS's command line lists them. */

import { element, type XmlElement } from "mgmt/cli/xml.ts";
import type { PeerStatus } from "mgmt/status/peers.ts";

function connectedText({ connected }: PeerStatus): string {
  return connected ? "Connected" : "Disconnected";
}

/** `peer status`. */
export function peerStatusText(peers: readonly PeerStatus[]): string {
  const lines = peers.flatMap((peer) => {
    const others = peer.hostnames?.slice(1) ?? [];
    return [
      "",
      `Hostname: ${peer.hostname}`,
      `Uuid: ${peer.uuid}`,
      `State: ${peer.state ?? ""} (${connectedText(peer)})`,
      ...others.length ? ["Other names:", ...others] : [],
    ];
  });
  return [`Number of Peers: ${peers.length}`, ...lines, ""].join("\n");
}

/** `pool list`. */
export function poolListText(peers: readonly PeerStatus[]): string {
  const width = Math.max("Hostname".length, ...peers.map(({ hostname }) => hostname.length));
  const rows = peers.map((peer) =>
    `${peer.uuid}\t${peer.hostname.padEnd(width)}\t${connectedText(peer)} `
  );
  return [`UUID\t\t\t\t\t${"Hostname".padEnd(width)}\tState`, ...rows, ""].join("\n");
}

/** Both, for programs. */
export function peersXml(peers: readonly PeerStatus[]): XmlElement {
  return element(
    "peerStatus",
    peers.map((peer) =>
      element("peer", [
        element("uuid", peer.uuid),
        element("hostname", peer.hostname),
        ...peer.hostnames
          ? [element("hostnames", peer.hostnames.map((name) => element("hostname", name)))]
          : [],
        element("connected", peer.connected ? 1 : 0),
        ...peer.stateId === undefined ? [] : [element("state", peer.stateId)],
        ...peer.state === undefined ? [] : [element("stateStr", peer.state)],
      ])
    ),
  );
}
