import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { isHostPattern } from "mgmt/volume_options/addresses.ts";
import { GROUPS, readGroup } from "mgmt/volume_options/groups.ts";
import { familyOf, findVolumeOption, isFreeKey, VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";
import { NONE } from "mgmt/volume_options/rows.ts";
import { readSettings } from "mgmt/volume_options/settings.ts";
import { hint } from "mgmt/volume_options/unknown.ts";
import { wrongValue } from "mgmt/volume_options/wrong_value.ts";
import { XLATORS } from "xlators/mod.ts";

Deno.test("volume options: an option that a translator of ours declares is that very declaration", () => {
  let count = 0;
  for (const { type, options } of XLATORS) {
    for (const [name, spec] of Object.entries(options as Record<string, { volumeKey?: string }>)) {
      if (spec.volumeKey === undefined) continue;
      const row = VOLUME_OPTIONS.get(spec.volumeKey);
      equal(row?.spec, spec);
      deepEqual([row?.xlator, row?.option], [type, name]);
      count++;
    }
  }
  ok(count > 70);
});

Deno.test("volume options: every default is a right value, and every row has help", () => {
  for (const option of VOLUME_OPTIONS.values()) {
    const { key, shown, spec } = option;
    if (shown !== NONE && shown !== "") equal(wrongValue(option, shown), undefined, key);
    ok(spec.help.length > 5, key);
    ok(spec.values.length > 1, key);
  }
});

Deno.test("volume options: a name without its family is found where only one family has it", () => {
  equal(findVolumeOption("quorum-type")?.key, "cluster.quorum-type");
  equal(findVolumeOption("cluster.quorum-type")?.key, "cluster.quorum-type");
  // cluster. and disperse. have it.
  equal(findVolumeOption("self-heal-window-size"), undefined);
  equal(findVolumeOption("compression.window-size"), undefined);
  equal(findVolumeOption("cluster.quorum"), undefined);
  equal(familyOf("network.compression.debug"), "network");
});

Deno.test("volume options: user keys are free, but for the bare prefix", () => {
  ok(isFreeKey("user.cifs"));
  equal(isFreeKey("user."), false);
  equal(isFreeKey("users.x"), false);
});

Deno.test("volume options: an unknown name brings the one that was meant", () => {
  equal(hint("performance.cache-siz"), "\nDid you mean performance.cache-size?");
  equal(hint("quorom-type"), "\nDid you mean cluster.quorum-type?");
  equal(
    hint("self-heal-window-size"),
    "\nDid you mean cluster.self-heal-window-size or disperse.self-heal-window-size?",
  );
  equal(hint("performance.nosuch"), '; "volume set help" lists the options');
  equal(hint("clutser.quorum-type"), "\nDid you mean cluster.quorum-type?");
});

Deno.test("volume options: a wrong value is told as GlusterFS does, then what is right", () => {
  const wrong: readonly (readonly [key: string, value: string, why: string])[] = [
    [
      "performance.io-thread-count",
      "65",
      "'65' in 'option thread-count 65' is out of range [1 - 64]; performance.io-thread-count takes 1 to 64",
    ],
    [
      "cluster.subvols-per-directory",
      "0",
      "'0' in 'option directory-layout-spread 0' is smaller than minimum value '1'; cluster.subvols-per-directory takes 1 or more",
    ],
    [
      "cluster.quorum-type",
      "x",
      "option quorum-type x: 'x' is not valid (possible options are none, auto, fixed.); cluster.quorum-type takes none|auto|fixed",
    ],
    [
      "features.shard",
      "maybe",
      "option shard maybe: 'maybe' is not a valid boolean value; features.shard takes on|off",
    ],
    [
      "performance.cache-size",
      "64XB",
      'invalid number format "64XB" in option "cache-size"; performance.cache-size takes bytes, or a number with KB, MB, GB, TB',
    ],
    [
      "network.ping-timeout",
      "x",
      'invalid time format "x" in "option ping-timeout"; network.ping-timeout takes seconds, or a number with ms, min, hr, days',
    ],
    [
      "cluster.min-free-disk",
      "120%",
      "'120.000000' in 'option min-free-disk 120%' is out of range [0 - 100]; cluster.min-free-disk takes 0 to 100 (percent), or a size",
    ],
    [
      "cluster.server-quorum-ratio",
      "160",
      "'160.000000' in 'option server-quorum-ratio 160' is out of range [0 - 100]; cluster.server-quorum-ratio takes 0 to 100, with or without %",
    ],
    [
      "cluster.rebal-throttle",
      "fast",
      "option rebal-throttle fast: 'fast' is not valid; cluster.rebal-throttle takes lazy|normal|aggressive, or a number of files",
    ],
  ];
  for (const [key, value, why] of wrong) equal(wrongValue(VOLUME_OPTIONS.get(key)!, value), why);
  equal(wrongValue(VOLUME_OPTIONS.get("performance.cache-size")!, "64MB"), undefined);
  equal(wrongValue(VOLUME_OPTIONS.get("cluster.rebal-throttle")!, "3"), undefined);
});

Deno.test("volume options: hosts are names, addresses with stars, and networks", () => {
  const right =
    "* 10.0.0.1 10.0.0.* 10.* 10.0.0.0/24 ::1 fe80::/64 host-1 host_1.example.org *.example.org";
  for (const word of right.split(" ")) ok(isHostPattern(word), word);
  for (
    const word of ["", "300.1.1.1", "1.2.3", "a b", "-x", "10.0.0.0/33", "10.*/8", "::g", "a..b"]
  ) {
    equal(isHostPattern(word), false, word);
  }
});

Deno.test("volume options: every group sets options that there are, to right values", async () => {
  for (const name of GROUPS.keys()) {
    const settings = readSettings(await readGroup("/nowhere", name));
    ok(settings.length > 4, name);
    for (const { option, value } of settings) {
      if (option) equal(wrongValue(option, value), undefined, option.key);
    }
  }
});

Deno.test("volume options: a group's file goes before the group that is shipped, and must be right", async () => {
  const home = await Deno.makeTempDir({ prefix: "mt-group-" });
  try {
    await Deno.mkdir(`${home}/groups`);
    await Deno.writeTextFile(`${home}/groups/virt`, "# ours\n\nnetwork.ping-timeout=7\n");
    deepEqual(await readGroup(home, "virt"), ["network.ping-timeout", "7"]);
    await Deno.writeTextFile(`${home}/groups/bad`, "network.ping-timeout\n");
    await Deno.writeTextFile(`${home}/groups/empty`, "# nothing\n");
    const message = (name: string) => readGroup(home, name).catch((error) => error.message);
    ok((await message("bad")).includes("file format not valid"));
    ok((await message("empty")).includes("it sets nothing"));
    ok((await message("nosuch")).includes("Unable to open file"));
    ok((await message("../bad")).includes("Cannot use group"));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
