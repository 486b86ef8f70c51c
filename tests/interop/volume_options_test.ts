/**
 * Names and defaults of volume options against those of GlusterFS 10.3; volume_options.json says how
 * they were captured.
 */

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";
import { shownDefault, type VolumeOption } from "mgmt/volume_options/volume_option.ts";
import golden from "tests/interop/volume_options.json" with { type: "json" };

type Texts = Readonly<Record<string, string>>;

const INSIDE = "ours: GlusterFS does not look into images";

/** Options that differ, and why. */
const DIFFERENT: Readonly<Record<"get" | "help", Readonly<Record<string, string>>>> = {
  get: {
    "features.changed-ranges": "ours: GlusterFS's bricks do not know what a copy missed",
    "features.proxy": "ours: GlusterFS's is config.gfproxyd",
    "features.qcow2": INSIDE,
    "features.qcow2-cache-size": INSIDE,
    "features.qcow2-directory": INSIDE,
    "features.qcow2-open-files": INSIDE,
    "features.qcow2-write": INSIDE,
    "features.selinux": "bricks have no such layer: labels are kept under their own name",
    "features.snapshot-durability": "ours: GlusterFS's bricks keep no history",
    "performance.enable-least-priority": "off in our bricks",
    "server.outstanding-rpc-limit": "our bricks take more before they slow a client down",
    "storage.export-statfs-size": "GlusterFS has it in volfiles only",
  },
  help: {
    "features.changed-ranges": "ours: GlusterFS's bricks do not know what a copy missed",
    "features.proxy": "ours: GlusterFS's is config.gfproxyd",
    "features.qcow2": INSIDE,
    "features.qcow2-cache-size": INSIDE,
    "features.qcow2-directory": INSIDE,
    "features.qcow2-open-files": INSIDE,
    "features.qcow2-write": INSIDE,
    "features.snapshot-durability": "ours: GlusterFS's bricks keep no history",
    "nfs.rdirplus": "there is no such NFS server",
    "nfs.transport-type": "there is no such NFS server",
    "performance.enable-least-priority": "off in our bricks",
    "server.outstanding-rpc-limit": "our bricks take more before they slow a client down",
  },
};

function different(
  theirs: Texts,
  which: (option: VolumeOption) => boolean,
  value: (option: VolumeOption) => string,
): string[] {
  const wanted = [...VOLUME_OPTIONS.values()].filter(which);
  const ours = new Map(wanted.map((option) => [option.key, value(option)]));
  const keys = new Set([...Object.keys(theirs), ...ours.keys()]);
  return [...keys].filter((key) => theirs[key] !== ours.get(key)).sort();
}

Deno.test("volume options: volume get shows GlusterFS's names and defaults, but for those named", () => {
  const found = different(golden.get, ({ unlisted }) => !unlisted, shownDefault);
  deepEqual(found, Object.keys(DIFFERENT.get));
});

Deno.test("volume options: volume set help has GlusterFS's names and defaults, but for those named", () => {
  const found = different(
    golden.help,
    ({ hidden }) => !hidden,
    ({ helpShown, shown }) => helpShown ?? shown,
  );
  deepEqual(found, Object.keys(DIFFERENT.help));
});

Deno.test("volume options: those of all volumes are GlusterFS's", () => {
  const ours = [...VOLUME_OPTIONS.values()].filter(({ global }) => global).map(({ key }) => key);
  deepEqual(ours.sort(), Object.keys(golden.all).sort());
});
