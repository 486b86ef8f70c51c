/** `volume info` as GlusterFS prints it. */

import { element, type XmlElement } from "mgmt/cli/xml.ts";
import { brickCounts, type VolumeInfo } from "mgmt/status/volume_info.ts";

/** For people. */
export function infoText(info: VolumeInfo): string {
  const bricks = info.bricks.map(({ name, isArbiter }, index) =>
    `Brick${index + 1}: ${name}${isArbiter ? " (arbiter)" : ""}`
  );
  const options = [...info.options, ...info.remarks ?? []].map(({ name, value }) =>
    `${name}: ${value}`
  );
  return [
    " ",
    `Volume Name: ${info.name}`,
    `Type: ${info.typeText}`,
    `Volume ID: ${info.id}`,
    `Status: ${info.statusText}`,
    `Snapshot Count: ${info.snapshotCount}`,
    `Number of Bricks: ${brickCounts(info)}`,
    "Transport-type: tcp",
    "Bricks:",
    ...bricks,
    ...options.length ? ["Options Reconfigured:", ...options] : [],
    "",
  ].join("\n");
}

/** For programs: `volInfo` with all of them. */
export function infoXml(infos: readonly VolumeInfo[]): XmlElement {
  return element("volInfo", [
    element("volumes", [...infos.map(volumeXml), element("count", infos.length)]),
  ]);
}

function volumeXml(info: VolumeInfo): XmlElement {
  return element("volume", [
    element("name", info.name),
    element("id", info.id),
    element("status", info.status),
    element("statusStr", info.statusText),
    element("snapshotCount", info.snapshotCount),
    element("brickCount", info.brickCount),
    element("distCount", info.distCount),
    element("replicaCount", info.replicaCount),
    element("arbiterCount", info.arbiterCount),
    element("disperseCount", info.disperseCount),
    element("redundancyCount", info.redundancyCount),
    element("type", info.type),
    element("typeStr", info.typeText),
    element("transport", 0),
    element(
      "bricks",
      info.bricks.map(({ name, hostUuid, isArbiter }) => ({
        name: "brick",
        attributes: { uuid: hostUuid },
        text: name,
        children: [
          element("name", name),
          element("hostUuid", hostUuid),
          element("isArbiter", isArbiter ? 1 : 0),
        ],
      })),
    ),
    element("optCount", info.options.length),
    element(
      "options",
      info.options.map(({ name, value }) =>
        element("option", [element("name", name), element("value", value)])
      ),
    ),
  ]);
}
