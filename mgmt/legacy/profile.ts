/** `volume profile` and `volume top`, as dictionaries of the `gluster` program. */

import { type Entries, type RequestDict, wrong } from "mgmt/legacy/request_dict.ts";
import { periodEntries } from "mgmt/brick/profile.ts";
import type { TopAnswer } from "mgmt/brick/top.ts";
import type { VolumeProfile } from "mgmt/commands/volume_profile.ts";
import type { VolumeTop } from "mgmt/commands/volume_top.ts";
import { answerOf, type Run } from "mgmt/legacy/run.ts";

/** `op` (`gf1_cli_stats_op`). */
const START = 1, STOP = 2, INFO = 3, TOP = 4;
/** `info-op` (`gf1_cli_info_op`): the word for each. */
const INFO_WORDS: readonly string[] = ["", "", "incremental", "cumulative", "clear"];
/** `top-op` (`gf1_cli_top_op`). */
const TOP_WORDS: readonly string[] = [
  "clear",
  "open",
  "read",
  "write",
  "opendir",
  "readdir",
  "read-perf",
  "write-perf",
];
/** More than is ever useful, so that the command says what is right. */
const COUNT_MAX = 999_999_999;

/** PROFILE_VOLUME. */
export async function profile(run: Run, request: RequestDict): Promise<Entries> {
  const volume = request.text("volname");
  switch (request.number("op", TOP)) {
    case START:
      await run(["volume", "profile", volume, "start"]);
      return [["count", 0]];
    case STOP:
      await run(["volume", "profile", volume, "stop"]);
      return [["count", 0]];
    case INFO: {
      const form = INFO_WORDS[request.number("info-op", INFO_WORDS.length - 1)]!;
      const peek = request.flag("peek") ? ["peek"] : [];
      const words = ["volume", "profile", volume, "info", ...form === "" ? [] : [form], ...peek];
      return profileEntries(await answerOf<VolumeProfile>(run, words));
    }
    case TOP:
      return topEntries(await answerOf<VolumeTop>(run, topWords(volume, request)));
    default:
      throw wrong("op", "expected 1 to 4");
  }
}

function topWords(volume: string, request: RequestDict): string[] {
  const word = TOP_WORDS[request.number("top-op", TOP_WORDS.length - 1)]!;
  const counted = (name: string, key: string) =>
    request.has(key) ? [name, String(request.number(key, COUNT_MAX))] : [];
  const brick = request.optionalText("brick");
  if (word === "clear") return ["volume", "top", volume, word];
  return [
    ...["volume", "top", volume, word],
    ...request.flag("nfs") ? ["nfs"] : [],
    ...brick === undefined ? [] : ["brick", brick],
    ...counted("bs", "blk-size"),
    ...counted("count", "blk-cnt"),
    ...counted("list-cnt", "list-cnt"),
  ];
}

function profileEntries({ info, bricks }: VolumeProfile): Entries {
  return [
    ["count", bricks.length],
    ...bricks.flatMap(({ brick, cleared, periods }, index): Entries => {
      const at = index + 1;
      return [
        [`${at}-brick`, brick],
        [`${at}-info-op`, info],
        ...cleared ? [[`${at}-stats-cleared`, 1] as const] : [],
        ...periods.flatMap((period): Entries => [
          [`${at}-${period.interval < 0 ? "cumulative" : "interval"}`, period.interval],
          ...[...periodEntries(period)].map(([key, { value }]) =>
            [`${at}-${key}`, String(value)] as const
          ),
        ]),
      ];
    }),
  ];
}

function topEntries({ kind, bricks }: VolumeTop): Entries {
  return [
    ["count", bricks.length],
    ...bricks.flatMap(({ brick, ...answer }, index): Entries => [
      [`${index + 1}-brick`, brick],
      [`${index + 1}-top-op`, TOP_WORDS.indexOf(kind)],
      ...brickTopEntries(`${index + 1}`, answer),
    ]),
  ];
}

function brickTopEntries(at: string, { cleared, opens, disk, files }: TopAnswer): Entries {
  if (cleared) return [[`${at}-stats-cleared`, 1]];
  return [
    ...opens
      ? [
        [`${at}-current-open`, opens.now] as const,
        [`${at}-max-open`, opens.most] as const,
        [`${at}-max-openfd-time`, opens.mostAt] as const,
      ]
      : [],
    ...files.flatMap((file, n): Entries => [
      [`${at}-filename-${n + 1}`, file.name],
      [`${at}-value-${n + 1}`, file.value],
      ...file.at
        ? [
          [`${at}-time-sec-${n + 1}`, Math.floor(file.at / 1000)] as const,
          [`${at}-time-usec-${n + 1}`, Math.floor(file.at % 1000 * 1000)] as const,
        ]
        : [],
    ]),
    [`${at}-members`, files.length],
    ...disk
      ? [[`${at}-throughput`, disk.throughput] as const, [`${at}-time`, disk.time] as const]
      : [],
  ];
}
