/** `volume heal` as the `gluster` program asks it; info and split-brain it does by glfsheal, without us. */

import { isCount, type VolumeHeal } from "mgmt/commands/volume_heal.ts";
import { crawlTime } from "mgmt/heal/heal_shown.ts";
import { type Entries, type RequestDict, wrong } from "mgmt/legacy/request_dict.ts";
import { answerOf, type Run } from "mgmt/legacy/run.ts";

/** `heal-op` (`gf_xl_afr_op_t`, rpc-lib's protocol-common.h). */
const WORDS: ReadonlyMap<number, readonly string[]> = new Map([
  [1, []],
  [2, ["full"]],
  [7, ["statistics"]],
  [8, ["statistics", "heal-count"]],
  [12, ["enable"]],
  [13, ["disable"]],
  [15, ["granular-entry-heal", "enable"]],
  [16, ["granular-entry-heal", "disable"]],
]);
const COUNT_OF_SET = 9, OP_MAX = 17;

/** HEAL_VOLUME. */
export async function heal(run: Run, request: RequestDict): Promise<Entries> {
  const volume = request.text("volname"), op = request.number("heal-op", OP_MAX);
  const brick = () =>
    `${request.text("per-replica-cmd-hostname")}:${request.text("per-replica-cmd-path")}`;
  const words = op === COUNT_OF_SET
    ? ["statistics", "heal-count", "replica", brick()]
    : WORDS.get(op);
  if (!words) throw wrong("heal-op", "this is glfsheal's work");
  const answer = await answerOf<VolumeHeal>(run, ["volume", "heal", volume, ...words]);
  if (isCount(answer.what)) return countEntries(answer);
  return answer.what === "statistics" ? crawlEntries(answer) : [];
}

function countEntries({ bricks }: VolumeHeal): Entries {
  return [
    ["count", bricks.length],
    ...bricks.flatMap(({ brick, connected, count }, index): Entries => {
      const colon = brick.lastIndexOf(":/");
      return [
        [`${index}-hostname`, brick.slice(0, colon)],
        [`${index}-path`, brick.slice(colon + 1)],
        ...connected
          ? [[`${index}-hardlinks`, count] as const]
          : [[`${index}-status`, "Brick is not connected"] as const],
      ];
    }),
  ];
}

function crawlEntries({ crawls: bricks }: VolumeHeal): Entries {
  return [
    ["count", bricks.length],
    ...bricks.flatMap(({ host, crawls }, index): Entries => [
      [`${index}-hostname`, host],
      [`statistics-${index}-count`, crawls.length],
      ...crawls.flatMap((crawl, at): Entries => {
        const key = (name: string) => `statistics_${name}-${index}-${at}`;
        return [
          [key("crawl_type"), crawl.type],
          [key("healed_cnt"), crawl.healed],
          [key("sb_cnt"), crawl.splitBrain],
          [key("heal_failed_cnt"), crawl.failed],
          [key("strt_time"), `${crawlTime(crawl.begin)}\n`],
          [key("end_time"), crawl.end === null ? "" : `${crawlTime(crawl.end)}\n`],
          [key("inprogress"), crawl.end === null ? 1 : 0],
        ];
      }),
    ]),
  ];
}
