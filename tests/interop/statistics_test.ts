/** What `volume profile` and `volume top` print, against GlusterFS's command line for the same figures. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { FOP_NAMES, FOPS } from "core/fops.ts";
import type { Json } from "core/xlator.ts";
import { INFO, type NumberedPeriod } from "mgmt/brick/profile.ts";
import { printAnswer } from "mgmt/cli/printed.ts";
import type { ManagedCommand } from "mgmt/cli/managed.ts";
import { readArguments } from "mgmt/cli/words.ts";
import { type VolumeProfile, volumeProfile } from "mgmt/commands/volume_profile.ts";
import { type VolumeTop, volumeTop } from "mgmt/commands/volume_top.ts";
import golden from "tests/interop/statistics.json" with { type: "json" };

const PRINTED: Readonly<Record<string, string>> = golden.printed;

function printed(command: ManagedCommand, line: string, value: Json): string {
  const words = line.replace(/^--xml /, "").split(" ");
  const args = readArguments(command, words.slice(2));
  const form = line.startsWith("--xml") ? "xml" : "text";
  return printAnswer(command, args, value, { form, manner: "gluster", words }).stdout;
}

function fopOf(label: string) {
  const fop = FOP_NAMES.find((each) => FOPS[each].label === label);
  ok(fop, label);
  return fop;
}

const numbers = (text: string) => text.match(/\d+(\.\d+)?/g)!.map(Number);

/** The periods that a text shows. */
function periodsInText(text: string): NumberedPeriod[] {
  return text.split(/^(?=Cumulative Stats|Interval \d+ Stats)/m).slice(1).map((part) => {
    const row = (title: string) =>
      part.split("\n").filter((line) => line.trimStart().startsWith(title))
        .flatMap((line) => numbers(line.slice(14)));
    const sizes = row("Block Size:");
    const counts = (title: string) =>
      row(title).map((count, i) => [sizes[i]!, count] as const).filter(([, count]) => count);
    const value = (title: string) => Number(new RegExp(`${title}: (\\d+)`).exec(part)![1]);
    return {
      interval: part.startsWith("Cumulative") ? -1 : Number(/\d+/.exec(part)![0]),
      seconds: value("Duration"),
      bytesRead: value("Data Read"),
      bytesWritten: value("Data Written"),
      reads: counts("No. of Reads:"),
      writes: counts("No. of Writes:"),
      fops: [...part.matchAll(/^ +[\d.]+ +([\d.]+) ns +([\d.]+) ns +([\d.]+) ns +(\d+) +(\w+)$/gm)]
        .map(([, average, min, max, hits, label]) => ({
          fop: fopOf(label!),
          hits: Number(hits),
          timed: Number(average) ? Number(hits) : 0,
          averageNs: Number(average),
          minNs: Number(min),
          maxNs: Number(max),
        })),
    };
  });
}

/** The periods that an XML document shows. */
function periodsInXml(xml: string): NumberedPeriod[] {
  const parts = xml.matchAll(
    /<(cumulative|interval)Stats>(.*?)<\/\w+Stats>\s*(?=<interval|<\/brick)/gs,
  );
  return [...parts].map(([, kind, part]) => {
    const value = (text: string, name: string) =>
      Number(new RegExp(`<${name}>([^<]*)<`).exec(text)![1]);
    const blocks = [...part!.matchAll(/<block>(.*?)<\/block>/gs)].map(([, each]) => each!);
    const counts = (name: string) =>
      blocks.map((each) => [value(each, "size"), value(each, name)] as const)
        .filter(([, count]) => count);
    return {
      interval: kind === "cumulative" ? -1 : 0,
      seconds: value(part!, "duration"),
      bytesRead: value(part!, "totalRead"),
      bytesWritten: value(part!, "totalWrite"),
      reads: counts("reads"),
      writes: counts("writes"),
      fops: [...part!.matchAll(/<fop>(.*?)<\/fop>/gs)].map(([, each]) => ({
        fop: fopOf(/<name>(\w+)</.exec(each!)![1]!),
        hits: value(each!, "hits"),
        timed: value(each!, "hits"),
        averageNs: value(each!, "avgLatency"),
        minNs: value(each!, "minLatency"),
        maxNs: value(each!, "maxLatency"),
      })),
    };
  });
}

function profileOf(bricks: readonly string[], periods: readonly NumberedPeriod[]): VolumeProfile {
  return {
    volume: "v1",
    action: "info",
    info: INFO.all,
    bricks: bricks.map((brick, i) => ({
      brick,
      cleared: false,
      periods: periods.slice(2 * i, 2 * i + 2),
    })),
  };
}

const BRICKS = ["10.99.7.1:/bbops_b/b1", "10.99.7.1:/bbops_b/b2"];

Deno.test("volume profile: info prints the same figures as GlusterFS does, to the letter", () => {
  const line = "volume profile v1 info";
  const periods = periodsInText(PRINTED[line]!);
  equal(periods.length, 4);
  // Shares are of figures that the text rounds.
  const rounded = (text: string) => text.replace(/^ +[\d.]+(?= .* ns .*$)/gm, "");
  equal(
    rounded(printed(volumeProfile, line, profileOf(BRICKS, periods))),
    rounded(PRINTED[line]!),
  );
});

Deno.test("volume profile: info --xml has GlusterFS's elements, to the letter", () => {
  const line = "--xml volume profile v1 info";
  const periods = periodsInXml(PRINTED[line]!);
  equal(periods.length, 4);
  equal(printed(volumeProfile, line, profileOf(BRICKS, periods)), PRINTED[line]);
});

Deno.test("volume top: lists are printed as GlusterFS does, to the letter", () => {
  const opens = { now: 0, most: 0, mostAt: "N/A" };
  const files = ["/g", "/dir/f"].map((name) => ({ name, value: 1, at: 0 }));
  const open: VolumeTop = {
    volume: "v1",
    kind: "open",
    bricks: BRICKS.map((brick) => ({ brick, cleared: false, opens, files })),
  };
  for (const line of ["volume top v1 open", "--xml volume top v1 open list-cnt 2"]) {
    equal(printed(volumeTop, line, open), PRINTED[line], line);
  }
});

Deno.test("volume top: throughputs are printed as GlusterFS does but for the place of the zone", () => {
  const at = Date.parse("2026-11-22T14:44:09.656Z") + 0.832;
  const perf = (throughput: number, time: number): VolumeTop => ({
    volume: "v1",
    kind: "write-perf",
    bricks: [{
      brick: BRICKS[0]!,
      cleared: false,
      disk: { throughput, time },
      files: [{ name: "/g", value: 0, at }],
    }],
  });
  const rest = "volume top v1 write-perf bs 4096 count 10 brick 10.99.7.1:/bbops_b/b1 list-cnt 1";
  // Microseconds of a time in milliseconds are a matter of rounding.
  const shown = (text: string) =>
    text.replace(/(\d{6}) \+0000/, "+0000.$1").replace(/65683\d/, "656832");
  equal(
    shown(printed(volumeTop, `--xml ${rest}`, perf(1412.413793, 29))),
    shown(PRINTED[`--xml ${rest}`]!),
  );
  deepEqual(
    shown(printed(volumeTop, rest, perf(1241.2121, 33))).split("\n").map((each) => each.trim()),
    PRINTED[rest]!.replace(/ \+0000\.(\d{6})/, ".+0000.$1").split("\n").map((each) => each.trim()),
  );
});
