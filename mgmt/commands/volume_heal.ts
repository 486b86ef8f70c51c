/** `volume heal`: what is to be healed, orders to heal, and who is right in a split-brain. */

import { managed, OP_ERRNO, operands, Refusal, volumeName } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { changeOptions } from "mgmt/commands/volume_set.ts";
import { refusal, undecidedCode } from "mgmt/heal/glfsheal.ts";
import { type HealQuestion, readHealWords } from "mgmt/heal/heal_words.ts";
import {
  type BrickCrawls,
  countsText,
  crawlsText,
  crawlsXml,
  decidedText,
  decidedXml,
  type HealedBrick,
  infoText,
  infoXml,
  isByGlfsheal,
  isHealed,
  isInfo,
  LAUNCHED,
  whyNot,
} from "mgmt/heal/heal_shown.ts";
import type { CrawlRecord, Decided, HealOrder } from "mgmt/heal/orders.ts";
import type { HealerLink } from "mgmt/heal/supervised_healer.ts";
import { type BrickRecord, brickText, setSize, type VolumeRecord } from "mgmt/records.ts";

/** What it answers. */
export type VolumeHeal = {
  readonly volume: string;
  readonly what: HealQuestion["what"];
  readonly bricks: readonly HealedBrick[];
  readonly crawls: readonly BrickCrawls[];
  readonly decided: readonly Decided[];
};

const USAGE = "[enable|disable|full|info [summary|split-brain]|" +
  "statistics [heal-count [replica <HOST:BRICK>]]|" +
  "split-brain {bigger-file <FILE>|latest-mtime <FILE>|source-brick <HOST:BRICK> [<FILE>]}|" +
  "granular-entry-heal {enable|disable}]";

const SWITCHES = {
  enable: ["cluster.self-heal-daemon", "enable"],
  disable: ["cluster.self-heal-daemon", "disable"],
  "granular-enable": ["cluster.granular-entry-heal", "enable"],
  "granular-disable": ["cluster.granular-entry-heal", "disable"],
} as const;

/** See the head of this file. */
export const volumeHeal = managed({
  path: "volume heal",
  summary: "self-heal commands on volume specified by <VOLNAME>",
  description: [
    "Alone it has the self-heal daemon heal what bricks list, with full look at every file. info shows " +
    "what is listed, by path; info summary only how much.",
    "A file whose copies blame each other is healed by saying which is right: the bigger one, the newer " +
    "one, or the one of a brick.",
    "info, split-brain and granular-entry-heal enable fail with GlusterFS's exit codes: 254 there is no " +
    "such volume, 251 it is not started or none of its bricks is reached, 234 it has no copies, 107 " +
    "bricks are not reached, 22 there is no such file (2 by gfid), 11 files wait for heal; else, as " +
    "everything here, with 1.",
  ],
  args: {
    volume: volumeName,
    words: operands(USAGE, {
      help: "What to do or to show.",
      required: false,
      offers: [
        ...["info", "full", "enable", "disable", "statistics", "split-brain"],
        "granular-entry-heal",
      ],
    }),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/heal",
  examples: [
    { what: "What is to be healed in v1", line: "mortar volume heal v1 info" },
    { what: "Heal it now", line: "mortar volume heal v1" },
    {
      what: "The copy on that brick is right",
      line: "mortar volume heal v1 split-brain source-brick a:/bricks/v1 /dir/file",
    },
  ],
  async check(cluster, { volume: name, words }) {
    const question = asked(words);
    const isSetting = question.what !== "granular-enable" && question.what in SWITCHES;
    const volume = await askedVolume(cluster, name, question.what);
    if (volume.state !== "started" && !isSetting) {
      throw refusal(question.what, `Volume ${name} is not started.`, "notStarted");
    }
    if (setSize(volume) < 2 || volume.kind === "disperse") {
      const { what } = question;
      const type = what === "info" || what === "summary" ? "replicate/disperse" : "replicate";
      throw refusal(
        what,
        `This command is supported for only volumes of ${type} type. Volume ${name} is not of type ${type}`,
        "noCopies",
      );
    }
    if ((question.what === "index" || question.what === "full") && isDisabled(volume)) {
      throw new Refusal(
        `Self-heal-daemon is disabled. Heal will not be triggered on volume ${name}`,
      );
    }
    if (question.what === "granular-enable") await nothingToHeal(cluster, name);
    if (question.file !== undefined && !/^(\/|gfid:)/.test(question.file)) {
      throw new Refusal("<FILE> must be absolute path w.r.t. the volume, starting with '/'");
    }
  },
  async apply(cluster, { volume: name, words }): Promise<VolumeHeal> {
    const question = asked(words);
    const volume = await cluster.volume(name);
    const nothing = { volume: name, what: question.what, bricks: [], crawls: [], decided: [] };
    switch (question.what) {
      case "enable":
      case "disable":
      case "granular-enable":
      case "granular-disable":
        await switchTo(cluster, volume, SWITCHES[question.what]);
        return nothing;
      case "index":
      case "full":
        await launch(cluster, volume, question.what);
        return nothing;
      case "statistics": {
        const { crawls = [] } = await tell(cluster, { order: "statistics", volume: name });
        return { ...nothing, crawls: volume.bricks.map(crawlsOf(volume, crawls)) };
      }
      case "heal-count":
      case "heal-count-of-set":
      case "summary":
        return {
          ...nothing,
          bricks: reached(question.what, await counted(cluster, volume, question)),
        };
      case "info":
      case "info-split-brain":
        return { ...nothing, bricks: reached(question.what, await listed(cluster, volume)) };
      case "decide":
        return { ...nothing, decided: await decided(cluster, volume, question) };
    }
  },
  text(value, { volume }) {
    const { what } = value;
    if (isInfo(what)) return infoText(what, value.bricks);
    if (what === "decide") return decidedText(value.decided);
    const head = LAUNCHED[what](volume);
    if (isCount(what)) return head + countsText(value.bricks);
    return what === "statistics" ? head + crawlsText(value.crawls) : head;
  },
  xml(value, { volume }) {
    const { what } = value;
    if (isInfo(what)) return [infoXml(what, value.bricks)];
    const head = element("cliOp", "volHeal");
    if (what === "decide") return [head, element("output"), decidedXml(value.decided)];
    const output = element("output", LAUNCHED[what](volume).trim());
    if (isCount(what)) return [head, output, infoXml("info", value.bricks)];
    return what === "statistics" ? [head, output, crawlsXml(value.crawls)] : [head, output];
  },
  xmlFirst: (_value, { words }) => isInfo(asked(words).what),
  failed(message, { volume, words }) {
    const { what } = asked(words);
    if (isByGlfsheal(what)) return `${message}\nVolume heal failed.`;
    const [said] = LAUNCHED[what](volume).split(" has been successful");
    return `${said} has been unsuccessful:\n${message}`;
  },
  // GlusterFS's fails here with --xml as it does without.
  failedXml: (_message, _args, { exitCode }) => ({ elements: [], exitCode }),
});

async function askedVolume(
  cluster: Cluster,
  name: string,
  what: HealQuestion["what"],
): Promise<VolumeRecord> {
  const volume = await cluster.find(name);
  if (volume) return volume;
  throw refusal(what, `Volume ${name} does not exist`, "noVolume", OP_ERRNO.noVolume);
}

function asked(words: readonly string[]): HealQuestion {
  const question = readHealWords(words);
  if (question) return question;
  throw new WrongArguments(volumeHeal, `${words.join(" ")} is no heal command`, true);
}

/** True for the two that count. */
export function isCount(what: HealQuestion["what"]): boolean {
  return what === "heal-count" || what === "heal-count-of-set";
}

// Sets are numbered as their bricks are grouped.
function crawlsOf(volume: VolumeRecord, crawls: readonly CrawlRecord[]) {
  const size = setSize(volume);
  return ({ host }: BrickRecord, index: number): BrickCrawls => {
    const own = `${volume.name}-replicate-${Math.floor(index / size)}`;
    return { host, crawls: crawls.filter(({ set }) => set === own) };
  };
}

function isDisabled({ options }: VolumeRecord): boolean {
  return /^(off|no|false|disable|0)$/i.test(options["cluster.self-heal-daemon"] ?? "on");
}

// What was missed before is noted nowhere: healers that go by notes would pass it over.
async function nothingToHeal(cluster: Cluster, name: string): Promise<void> {
  const { counts = [] } = await tell(cluster, { order: "counts", volume: name });
  if (counts.some(({ count }) => count === null)) {
    throw refusal(
      "granular-enable",
      "One or more bricks could be down. Please execute the command again after bringing all bricks " +
        "online and finishing any pending heals",
      "away",
    );
  }
  if (counts.every(({ count }) => count === 0)) return;
  throw refusal(
    "granular-enable",
    "One or more entries need heal. Please execute the command again after there are no entries to " +
      "be healed",
    "waiting",
  );
}

async function switchTo(
  cluster: Cluster,
  { name, options }: VolumeRecord,
  [key, value]: readonly [string, string],
): Promise<void> {
  const change = () => changeOptions(cluster, name, { ...options, [key]: value });
  await cluster.hooked("set", name, change, { [key]: value });
}

function tell(cluster: Cluster, order: HealOrder): ReturnType<HealerLink["ask"]> {
  if (cluster.healer) return cluster.healer.ask(order);
  throw new Refusal("Self-heal daemon is not running. Check self-heal daemon log file.");
}

async function launch(
  cluster: Cluster,
  volume: VolumeRecord,
  order: "index" | "full",
): Promise<void> {
  const { away = [] } = await tell(cluster, { order, volume: volume.name });
  if (away.length === volume.bricks.length) {
    throw new Refusal("No brick can be reached; start the volume with force, and heal it again");
  }
  // As GlusterFS's: a crawl of all that is there is as good with a brick away.
  if (!away.length || order === "full") return;
  const names = away.map((clientName) =>
    brickText(volume.bricks.find((brick) => brick.clientName === clientName)!)
  );
  throw new Refusal(
    `Bricks that are not reached are healed when they are back: ${names.join(", ")}. ` +
      "All others are healed now.",
  );
}

function shown(brick: BrickRecord): HealedBrick {
  return {
    brick: brickText(brick),
    nodeId: brick.nodeId,
    connected: false,
    count: 0,
    pending: 0,
    splitBrain: 0,
    healing: 0,
    files: [],
  };
}

async function counted(
  cluster: Cluster,
  volume: VolumeRecord,
  { what, replica }: HealQuestion,
): Promise<HealedBrick[]> {
  const { counts = [] } = await tell(cluster, { order: "counts", volume: volume.name });
  const bricks = replica === undefined ? volume.bricks : setOf(volume, replica);
  const found = bricks.map((brick): HealedBrick => {
    const count = counts.find((each) => each.brick === brick.clientName)?.count ?? null;
    if (count === null) return shown(brick);
    return { ...shown(brick), connected: true, count, pending: count };
  });
  if (what !== "summary" || found.every(({ count }) => count === 0)) return found;
  // Which of them are in split-brain, or are being healed, is known only by looking at them.
  const many = found.reduce((sum, { count }) => sum + count, 0) > LOOKED_AT_MAX;
  return many ? found : await listed(cluster, volume);
}

/** More files than that are counted, not looked at, for a summary. */
const LOOKED_AT_MAX = 1000;

function setOf(volume: VolumeRecord, replica: string): readonly BrickRecord[] {
  const index = volume.bricks.findIndex((brick) => brickText(brick) === replica);
  if (index < 0) {
    throw new Refusal(`"${replica}"- No such brick available in the volume.`);
  }
  const size = setSize(volume), first = Math.floor(index / size) * size;
  return volume.bricks.slice(first, first + size);
}

async function listed(cluster: Cluster, volume: VolumeRecord): Promise<HealedBrick[]> {
  return await Promise.all(volume.bricks.map(async (brick): Promise<HealedBrick> => {
    const { entries } = await tell(cluster, {
      order: "entries",
      volume: volume.name,
      brick: brick.clientName,
    });
    const files = entries?.files;
    if (!files) return shown(brick);
    const count = (state: string) => files.filter((file) => file.state === state).length;
    return {
      ...shown(brick),
      connected: true,
      count: files.length,
      pending: count("pending"),
      splitBrain: count("split-brain"),
      healing: count("healing"),
      files,
    };
  }));
}

// Bricks of which some are away say so in their places; of none nothing is known.
function reached(what: HealQuestion["what"], bricks: HealedBrick[]): HealedBrick[] {
  if (!isInfo(what) || bricks.some(({ connected }) => connected)) return bricks;
  const why = 'None of its bricks is reached; "volume status" tells which are online';
  throw refusal(what, why, "noBricks");
}

async function decided(
  cluster: Cluster,
  volume: VolumeRecord,
  { right, file, brick }: HealQuestion,
): Promise<readonly Decided[]> {
  const source = brick === undefined
    ? undefined
    : volume.bricks.find((each) => brickText(each) === brick);
  if (brick !== undefined && !source) {
    throw new Refusal(`"${brick}"- No such brick available in the volume.`);
  }
  if (source && file === undefined) await mustBeReached(cluster, volume, source);
  const answer = await tell(cluster, {
    order: "decide",
    volume: volume.name,
    ...(file === undefined ? {} : { file }),
    right: source ? { brick: source.clientName } : right!,
  });
  const found = answer.decided ?? [];
  if (file === undefined) return found;
  const outcome = found[0]?.outcome ?? "not found";
  if (isHealed(outcome)) return found;
  throw new Refusal(whyNot(file, outcome), undefined, undecidedCode(file, outcome));
}

// Else nothing would be found in split-brain on it, and that look like success.
async function mustBeReached(
  cluster: Cluster,
  { name }: VolumeRecord,
  brick: BrickRecord,
): Promise<void> {
  const { counts = [] } = await tell(cluster, { order: "counts", volume: name });
  const known = counts.find((each) => each.brick === brick.clientName);
  if (known && known.count !== null) return;
  throw refusal("decide", `Brick ${brickText(brick)}: Transport endpoint is not connected`, "away");
}
