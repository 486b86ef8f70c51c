/** Answers of `volume heal` as GlusterFS prints them. */

import type { Decision } from "core/healer.ts";
import { element, type XmlElement } from "mgmt/cli/xml.ts";
import type { HealQuestion } from "mgmt/heal/heal_words.ts";
import type { CrawlRecord, Decided, HealFile } from "mgmt/heal/orders.ts";

/** What a brick lists. */
export type HealedBrick = {
  /** "HOST:/PATH". */
  readonly brick: string;
  readonly nodeId: string;
  readonly connected: boolean;
  readonly count: number;
  readonly pending: number;
  readonly splitBrain: number;
  readonly healing: number;
  readonly files: readonly HealFile[];
};

/** Crawls over the set that a brick is of. */
export type BrickCrawls = { readonly host: string; readonly crawls: readonly CrawlRecord[] };

const AWAY = "Transport endpoint is not connected";
const INFO = ["info", "info-split-brain", "summary"] as const;
type Info = (typeof INFO)[number];
type Other = Exclude<HealQuestion["what"], Info | "decide">;

/** True for what GlusterFS's command line leaves to glfsheal, which has a way of its own to fail. */
export function isByGlfsheal(
  what: HealQuestion["what"],
): what is Info | "decide" | "granular-enable" {
  return isInfo(what) || what === "decide" || what === "granular-enable";
}

/** True for what is told of files that wait for heal. */
export function isInfo(what: HealQuestion["what"]): what is Info {
  return INFO.some((each) => each === what);
}

const done = (what: string) => (volume: string) =>
  `${what} on volume ${volume} has been successful \n`;
const launched = (what: string) => (volume: string) =>
  `Launching heal operation to perform ${what} self heal on volume ${volume} has been successful ` +
  "\nUse heal info commands to check status.\n";

/** What is said of each order that was carried out. */
export const LAUNCHED: Readonly<Record<Other, (volume: string) => string>> = {
  index: launched("index"),
  full: launched("full"),
  enable: done("Enable heal"),
  disable: done("Disable heal"),
  "granular-enable": done("Enable granular entry heal"),
  "granular-disable": done("Disable granular entry heal"),
  statistics: done("Gathering crawl statistics"),
  "heal-count": done("Gathering count of entries to be healed"),
  "heal-count-of-set": done("Gathering count of entries to be healed per replica"),
};

/** `info`, with or without more words. */
export function infoText(what: Info, bricks: readonly HealedBrick[]): string {
  return bricks.map((brick) => `Brick ${brick.brick}\n${brickInfo(what, brick)}\n`).join("");
}

function brickInfo(what: Info, brick: HealedBrick): string {
  const { connected, files } = brick;
  const status = `Status: ${connected ? "Connected" : AWAY}\n`;
  const number = (count: number) => connected ? count : "-";
  if (what === "summary") {
    return status +
      `Total Number of entries: ${number(brick.count)}\n` +
      `Number of entries in heal pending: ${number(brick.pending)}\n` +
      `Number of entries in split-brain: ${number(brick.splitBrain)}\n` +
      `Number of entries possibly healing: ${number(brick.healing)}\n`;
  }
  if (what === "info-split-brain") {
    const paths = splitFiles(files).map(({ path }) => `${path}\n`).join("");
    return `${paths}${status}Number of entries in split-brain: ${number(brick.splitBrain)}\n`;
  }
  const lines = files.map(({ path, state }) => `${path}${STATES[state]}\n`).join("");
  return `${lines}${status}Number of entries: ${number(brick.count)}\n`;
}

const STATES: Readonly<Record<HealFile["state"], string>> = {
  pending: " ",
  healing: " - Possibly undergoing heal",
  "split-brain": " - Is in split-brain",
};

function splitFiles(files: readonly HealFile[]): readonly HealFile[] {
  return files.filter(({ state }) => state === "split-brain");
}

/** The same as XML. */
export function infoXml(what: Info, bricks: readonly HealedBrick[]): XmlElement {
  return element("healInfo", [
    element("bricks", bricks.map((brick) => brickXml(what, brick))),
  ]);
}

function brickXml(what: Info, brick: HealedBrick): XmlElement {
  const { connected, files, nodeId } = brick;
  const number = (name: string, count: number) => element(name, connected ? count : "-");
  const shown = what === "info" ? files : what === "summary" ? [] : splitFiles(files);
  const figures = what === "summary"
    ? [
      number("totalNumberOfEntries", brick.count),
      number("numberOfEntriesInHealPending", brick.pending),
      number("numberOfEntriesInSplitBrain", brick.splitBrain),
      number("numberOfEntriesPossiblyHealing", brick.healing),
    ]
    : [number("numberOfEntries", what === "info" ? brick.count : brick.splitBrain)];
  return element("brick", [
    element("name", brick.brick),
    ...shown.map(({ path, gfid }) => element("file", path, { gfid })),
    element("status", connected ? "Connected" : AWAY),
    ...figures,
  ], { hostUuid: connected ? nodeId : "-" });
}

/** `statistics heal-count`. */
export function countsText(bricks: readonly HealedBrick[]): string {
  return bricks.map(({ brick, connected, count }) =>
    `\nBrick ${brick}\n${
      connected
        ? `Number of entries: ${count}`
        : "Status: Brick is not connected\nNo gathered input for this brick"
    }\n`
  ).join("");
}

/** `statistics`: crawls of each brick's set, oldest first. */
export function crawlsText(bricks: readonly BrickCrawls[]): string {
  return bricks.map(({ host, crawls }, index) =>
    `------------------------------------------------\n\nCrawl statistics for brick no ${index}\n` +
    `Hostname of brick ${host}\n${crawls.map(crawlText).join("")}`
  ).join("");
}

function crawlText({ begin, end, type, healed, splitBrain, failed }: CrawlRecord): string {
  return `\nStarting time of crawl: ${crawlTime(begin)}\n\n` +
    (end === null ? "Crawl is in progress\n" : `Ending time of crawl: ${crawlTime(end)}\n\n`) +
    `Type of crawl: ${type}\nNo. of entries healed: ${healed}\n` +
    `No. of entries in split-brain: ${splitBrain}\nNo. of heal failed entries: ${failed}\n`;
}

/** The same as XML. */
export function crawlsXml(bricks: readonly BrickCrawls[]): XmlElement {
  return element(
    "healStatistics",
    bricks.map(({ host, crawls }) =>
      element("brick", [
        element("hostname", host),
        ...crawls.map(({ begin, end, type, healed, splitBrain, failed }) =>
          element("crawl", [
            element("type", type),
            element("startTime", crawlTime(begin)),
            element("endTime", end === null ? "" : crawlTime(end)),
            element("healed", healed),
            element("splitBrain", splitBrain),
            element("failed", failed),
          ])
        ),
      ])
    ),
  );
}

/** A time as ctime(3) has it, in UTC. */
export function crawlTime(ms: number): string {
  const [day, date, month, year, time] = new Date(ms).toUTCString().replace(",", "").split(" ");
  return `${day} ${month} ${date!.replace(/^0/, " ")} ${time} ${year}`;
}

type Healed = Extract<Decision, "healed" | "name healed">;

const HEALED: Readonly<Record<Healed, (file: string) => string>> = {
  healed: (file) => `Healed ${file}.`,
  "name healed": (file) => `GFID split-brain resolved for file ${file}`,
};

const WHY_NOT: Readonly<Record<Exclude<Decision, Healed | "not found" | "directory">, string>> = {
  "not split-brain": "File not in split-brain",
  "copies away": "Failed to obtain replies from all bricks of the replica (are they up?). " +
    "Cannot resolve split-brain",
  "no bigger file": "No bigger file",
  "same mtime": "No difference in mtime",
  "only attributes": "Use source-brick option to heal metadata split-brain",
  "names differ": "names in it stand for different files; say of each path which is right",
  "not there": "that brick does not have the file",
  "not possible": "a brick could not be changed; see the log of the self-heal daemon",
};

/** True if the file is in split-brain no more. */
export function isHealed(outcome: Decision): outcome is Healed {
  return outcome === "healed" || outcome === "name healed";
}

/** Why a split-brain was not ended, as glfsheal says it. */
export function whyNot(file: string, outcome: Exclude<Decision, Healed>): string {
  if (outcome === "not found") return `Lookup failed on ${file}:No such file or directory.`;
  if (outcome === "directory") return "'bigger-file' not a valid option for directories.";
  return `Healing ${file} failed: ${WHY_NOT[outcome]}.`;
}

/** What became of files in split-brain. */
export function decidedText(decided: readonly Decided[]): string {
  const lines = decided.map(({ file, outcome }) =>
    isHealed(outcome) ? `${HEALED[outcome](file)}\n` : `${whyNot(file, outcome)}\n`
  );
  const healed = decided.filter(({ outcome }) => isHealed(outcome)).length;
  return lines.join("") + (decided.length === 1 ? "" : `Number of healed entries: ${healed}\n`);
}

/** The same as XML. */
export function decidedXml(decided: readonly Decided[]): XmlElement {
  return element(
    "splitBrain",
    decided.map(({ file, outcome }) => element("file", file, { outcome })),
  );
}
