/** Disks and daemons as GlusterFS 10.3 told of them, told again by us from the same values. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { element, printXml } from "mgmt/cli/xml.ts";
import type { PeerStatus } from "mgmt/status/peers.ts";
import { peerStatusText, peersXml, poolListText } from "mgmt/status/peers_shown.ts";
import { stateText } from "mgmt/status/state_text.ts";
import { statusText } from "mgmt/status/status_text.ts";
import { statusXml } from "mgmt/status/status_xml.ts";
import type { DiskStatus, StatusRow, ToldStatus } from "mgmt/status/volume_status.ts";
import { each, NODE, record, seen, STATE_FILES, tag } from "tests/interop/looking.ts";

/** The rows of `volume status V detail` in XML; sizes of inodes are only in its text. */
function rowsOf(xml: string, inodeSizes: readonly string[]): StatusRow[] {
  return each(xml, "node").map((node, index) => {
    const online = tag(node, "status") === "1";
    const number = (name: string) => Number(tag(node, name));
    const inodeSize = inodeSizes[index];
    const disk: DiskStatus = {
      total: number("sizeTotal"),
      free: number("sizeFree"),
      blockSize: number("blockSize"),
      inodesTotal: number("inodesTotal"),
      inodesFree: number("inodesFree"),
      device: tag(node, "device"),
      fsName: tag(node, "fsName"),
      mountOptions: tag(node, "mntOptions"),
      ...(inodeSize === "N/A" || inodeSize === undefined ? {} : { inodeSize }),
    };
    return {
      of: "brick",
      hostname: tag(node, "hostname"),
      path: tag(node, "path"),
      peerId: NODE,
      online,
      port: online ? number("port") : 0,
      pid: number("pid"),
      disk,
    };
  });
}

for (const name of ["status-disks-detail", "status-down-rep-detail", "status-brick-detail"]) {
  Deno.test(`tests/interop: disks (${name}) are shown as GlusterFS shows them`, () => {
    const { text, xml } = seen(name);
    const sizes = [...text.stdout.matchAll(/^Inode Size +: (\S+)/gm)].map(([, size]) => size!);
    const status: ToldStatus = {
      name: tag(xml.stdout, "volName"),
      baseType: 0,
      rows: rowsOf(xml.stdout, sizes),
    };
    // The two answers are of different moments, and a disk is never quite still.
    const still = (shown: string) => shown.replaceAll(/^(Free Inodes +: ).*$/gm, "$1");
    equal(still(statusText(status, "detail")), still(text.stdout));
    const ours = printXml(element("cliOutput", [statusXml([status], "detail")]));
    // GlusterFS writes the file system's name where the size of its inodes belongs.
    const plain = (shown: string) => shown.replaceAll(/<inodeSize>.*?</g, "<inodeSize><");
    const from = (shown: string) => plain(shown.slice(shown.indexOf("  <volStatus>")));
    equal(from(ours), from(xml.stdout));
  });
}

Deno.test("tests/interop: get-state writes the file that GlusterFS's writes", () => {
  const wanted = STATE_FILES["state-detail"]!;
  const values = new Map(
    wanted.split("\n").map((line) => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)] as const;
    }),
  );
  const records = each(seen("info-all").xml.stdout, "volume").map(record);
  const volumes = records.map((known, index) => {
    const at = `Volume${index + 1}`;
    equal(values.get(`${at}.name`), known.name);
    const prefix = `${at}.options.`;
    const options = [...values].filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value]);
    const bricks = known.bricks.map(({ host, path }, number) => {
      const value = (name: string) => values.get(`${at}.Brick${number + 1}.${name}`);
      const count = Number(value("client_count"));
      return {
        host,
        path,
        isArbiter: value("is_arbiter") === "1",
        here: {
          online: value("status") === "Started",
          port: Number(value("port")),
          free: parseInt(value("spacefree")!),
          total: parseInt(value("spacetotal")!),
          ...(Number.isNaN(count) ? {} : {
            clients: Array.from({ length: count }, (_, client) => {
              const of = (name: string) => value(`Client${client + 1}.${name}`)!;
              return {
                hostname: of("hostname"),
                bytesRead: Number(of("bytesread")),
                bytesWritten: Number(of("byteswrite")),
                opVersion: Number(of("opversion")),
              };
            }),
          }),
        },
      };
    });
    return { volume: { ...known, options: Object.fromEntries(options.reverse()) }, bricks };
  });
  const ours = stateText({
    nodeId: NODE,
    globalOptions: {},
    peers: [],
    volumes,
    basePort: Number(values.get("Base port")),
  });
  // Daemons and tasks that we have none of; that a killed brick's port is not its own any more.
  const without = (text: string) =>
    text.replaceAll(/(port_registered: )1(\n.*status: Stopped)/g, "$10$2").replaceAll(
      /^(Volume\d+\.(?:snapd_svc|shd_svc|rebalance)\.\w+: ).*$/gm,
      "$1",
    );
  deepEqual(without(ours).split("\n"), without(wanted).split("\n"));
  ok(wanted.includes("client_count: 2"));
});

/** The nodes of `peer status` or `pool list` in XML. */
function peersOf(xml: string): PeerStatus[] {
  return each(xml, "peer").map((peer) => {
    const names = each(peer, "hostnames")[0];
    return {
      uuid: tag(peer, "uuid"),
      hostname: tag(peer, "hostname"),
      connected: tag(peer, "connected") === "1",
      ...(names === undefined ? {} : {
        hostnames: each(names, "hostname"),
        stateId: Number(tag(peer, "state")),
        state: tag(peer, "stateStr"),
      }),
    };
  });
}

for (
  const [name, print] of [
    ["peer-status-other", peerStatusText],
    ["peer-status-names", peerStatusText],
    ["peer-status-gone", peerStatusText],
    ["pool-list-other", poolListText],
    ["pool-list-gone", poolListText],
  ] as const
) {
  Deno.test(`tests/interop: other nodes (${name}) are listed as GlusterFS lists them`, () => {
    const { text, xml } = seen(name);
    const peers = peersOf(xml.stdout);
    equal(print(peers), text.stdout);
    const ours = printXml(element("cliOutput", [peersXml(peers)]));
    const from = (shown: string) => shown.slice(shown.indexOf("  <peerStatus>"));
    equal(from(ours), from(xml.stdout));
  });
}

Deno.test("tests/interop: get-state tells of other nodes as GlusterFS's does", () => {
  const peers = peersOf(seen("peer-status-names").xml.stdout);
  const ours = stateText({ nodeId: NODE, globalOptions: {}, peers, volumes: [], basePort: 1 });
  const from = ours.indexOf("[Peers]");
  equal(ours.slice(from, ours.indexOf("[Volumes]")), STATE_FILES["state-peers"]);
});
