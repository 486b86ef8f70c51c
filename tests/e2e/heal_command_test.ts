/** `volume heal` of our command line and of GlusterFS's, against our daemon and against GlusterFS's. */

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { Island, ISLAND_DIR, ISLAND_HOST } from "tests/e2e/island.ts";
import { until } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const OURS = `${PROGRAM_DIR}/gluster`;
const BRICKS = ["r1", "r2", "r3"].map((name) => `${ISLAND_HOST}:${ISLAND_DIR}/bricks/${name}`);

/** Said by our command line as by GlusterFS's. */
const SAME = [
  "volume heal r3",
  "volume heal r3 full",
  "volume heal r3 info",
  "volume heal r3 info summary",
  "volume heal r3 info split-brain",
  "volume heal r3 statistics heal-count",
  `volume heal r3 statistics heal-count replica ${BRICKS[0]}`,
  "volume heal nope",
  "volume heal r3 granular-entry-heal disable",
  "volume heal r3 granular-entry-heal enable",
  "volume heal r3 disable",
  "volume heal r3",
  "volume heal r3 enable",
  "--xml volume heal r3 info",
  "--xml volume heal r3 info summary",
  "--xml volume heal r3 info split-brain",
];
/** Said by GlusterFS's command line of our daemon as of GlusterFS's. */
const THROUGH_THEIRS = SAME.filter((line) => !/--xml|disable|enable|r3$/.test(line));

e2e("volume heal: says what GlusterFS's says", ["gluster", "glusterd", "unshare"], async () => {
  await using ours = await Island.create();
  await using theirs = await Island.create();
  await Promise.all([ours.startMortar(), theirs.startGlusterd()]);
  const say = async (island: Island, program: string, line: string) => {
    const argv = [program, "--mode=script", ...line.split(" ")];
    const { code, out, err } = await island.run(argv, { env: { DENO: Deno.execPath() } });
    return `${out}${err}[${code}]`.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID");
  };
  const start = [`volume create r3 replica 3 ${BRICKS.join(" ")} force`, "volume start r3"];
  for (const [island, program] of [[ours, OURS], [theirs, "gluster"]] as const) {
    for (const line of start) await say(island, program, line);
    await until("bricks and healer run", async () => {
      const text = await say(island, program, "volume status r3");
      const info = await say(island, program, "volume heal r3 info");
      return text.match(/ Y {7,}\d+/g)?.length === 4 && !info.includes("not connected");
    });
  }
  const compare = async (program: string, lines: readonly string[]) => {
    for (const line of lines) {
      deepEqual(await say(ours, program, line), await say(theirs, "gluster", line), line);
    }
  };
  await compare(OURS, SAME);
  await compare("gluster", THROUGH_THEIRS);
});
