// GlusterFS's own command line against our management daemon: every verb prints what it prints
// against GlusterFS's, as text and as XML, and ends with the same exit code.

import { e2e } from "tests/e2e/harness.ts";
import { Island, ISLAND_DIR, ISLAND_HOST } from "tests/e2e/island.ts";
import type { Finished } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const PROGRAMS = ["gluster", "glusterd", "unshare"];

const THEIR_GLUSTER = "gluster";
const OUR_GLUSTER = `${PROGRAM_DIR}/gluster`;

/** Brick N. */
const b = (name: string) => `${ISLAND_HOST}:${ISLAND_DIR}/bricks/${name}`;

/** How much of an output has to be the same. */
type Care =
  /** All but ids. */
  | "text"
  /** All but numbers as well. */
  | "figures"
  /** The first words: what went wrong; ours may go on to say what to do. */
  | "start"
  /** Every line of ours is one of theirs, but for numbers. */
  | "lines"
  /** Which commands fail, and how. */
  | "exit";

type Step = readonly [care: Care, command: string];

/** Steps that change what there is, run once, as text. */
const LIFE: readonly Step[] = [
  ["text", "peer status"],
  ["text", "pool list"],
  ["text", "volume list"],
  ["text", "volume info"],
  ["text", "volume status"],
  ["text", "volume start nope"],
  ["text", "volume stop nope"],
  ["text", "volume delete nope"],
  ["text", "volume set nope nfs.disable on"],
  ["text", "volume reset nope"],
  ["text", "volume get nope all"],
  ["text", "volume profile nope info"],
  ["text", "volume top nope read"],
  ["text", "volume statedump nope"],
  ["text", "volume clear-locks nope / kind all inode"],
  ["text", "volume barrier nope enable"],
  ["text", "volume log nope rotate"],
  ["text", `volume create d2 ${b("d1")} ${b("d2")}`],
  ["text", `volume create d2 ${b("d3")}`],
  ["exit", `volume create dup ${b("d1")}`],
  ["start", "volume create far 10.99.99.99:/x"],
  ["start", `volume create parent ${b("no/such/brick")}`],
  ["start", `volume create r3 replica 3 ${b("r1")} ${b("r2")} ${b("r3")}`],
  ["text", `volume create r3 replica 3 ${b("r1")} ${b("r2")} ${b("r3")} force`],
  ["text", `volume create a3 replica 3 arbiter 1 ${b("a1")} ${b("a2")} ${b("a3")} force`],
  ["text", `volume create e3 disperse 3 redundancy 1 ${b("e1")} ${b("e2")} ${b("e3")} force`],
  ["text", `volume create dr replica 2 ${b("x1")} ${b("x2")} ${b("x3")} ${b("x4")} force`],
  ["text", "volume stop d2"],
  ["text", "volume start d2"],
  ["text", "volume start d2"],
  ["text", "volume start d2 force"],
  ["text", "volume delete d2"],
  ["text", "volume set d2 performance.cache-size 64MB"],
  ["exit", "volume set d2 performance.cache-size much"],
  ["start", "volume set d2 no.such-option 1"],
  ["text", "volume set d2 auth.allow 10.*"],
  ["text", "volume set d2 diagnostics.client-log-level INFO diagnostics.brick-log-level INFO"],
  ["text", "volume set d2 user.note hello"],
  ["text", "volume set r3 group virt"],
  ["text", "volume info r3"],
  ["text", "volume info d2"],
  ["text", "volume get d2 performance.cache-size"],
  ["text", "volume get d2 user.note"],
  ["exit", "volume get d2 no.such-option"],
  ["exit", "volume get d2 all"],
  ["text", "volume reset d2 performance.cache-size"],
  ["start", "volume reset d2 no.such-option"],
  ["text", "volume reset d2"],
  ["text", "volume info d2"],
  ["exit", "volume set help"],
  ["text", "volume profile d2 info"],
  ["text", "volume profile d2 start"],
  ["text", "volume profile d2 start"],
  ["figures", "volume profile d2 info"],
  ["figures", "volume profile d2 info peek"],
  ["figures", "volume profile d2 info incremental"],
  ["figures", "volume profile d2 info cumulative"],
  ["figures", "volume profile d2 info clear"],
  ["text", "volume profile d2 stop"],
  ["text", "volume profile d2 stop"],
  ...["open", "read", "write", "opendir", "readdir", "read-perf", "write-perf", "clear"]
    .map((kind): Step => ["figures", `volume top d2 ${kind}`]),
  ["figures", `volume top d2 read brick ${b("d1")}`],
  ["figures", "volume top d2 read-perf bs 4096 count 2"],
  ["text", "volume statedump d2"],
  ["text", "volume statedump d2 all"],
  ["text", "volume clear-locks d2 / kind all inode"],
  ["text", "volume clear-locks d2 / kind granted entry x"],
  ["text", "volume clear-locks d2 / kind all posix 0,0-0"],
  ["start", "volume clear-locks d2 /none kind all inode"],
  ["text", "volume barrier d2 enable"],
  ["exit", "volume barrier d2 enable"],
  ["text", "volume barrier d2 disable"],
  ["exit", "volume barrier d2 disable"],
  ["text", "volume log d2 rotate"],
  ["text", `volume log d2 rotate ${b("d1")}`],
  ["start", `volume log d2 rotate ${b("none")}`],
  ["start", "volume sync 10.99.99.99 all"],
  ["text", `volume sync ${ISLAND_HOST} all`],
  ["figures", "get-state odir /srv/ file state"],
  ["text", "system:: uuid get"],
  ["text", `peer probe ${ISLAND_HOST}`],
  ["text", "volume stop d2"],
  ["text", "volume stop d2"],
  ["text", "volume status d2"],
  ["text", "volume top d2 read"],
  ["text", "volume delete d2"],
  ["text", "volume delete d2"],
];

/** Steps that only look; run as text and as XML, too. */
const LOOKS: readonly Step[] = [
  ["text", "peer status"],
  ["text", "pool list"],
  ["text", "volume list"],
  ["text", "volume info"],
  ["text", "volume info w1"],
  ["text", "volume info a3"],
  ["text", "volume info e3"],
  ["text", "volume info dr"],
  ["text", "volume info nope"],
  ["text", "volume status nope"],
  ["text", "volume status a3"],
  ["figures", "volume status w1"],
  ["figures", "volume status"],
  ["figures", "volume status w1 detail"],
  ["figures", "volume status all detail"],
  ["figures", "volume status w1 clients"],
  ["lines", "volume status w1 mem"],
  ["lines", "volume status w1 inode"],
  ["exit", "volume status w1 fd"],
  ["lines", "volume status w1 callpool"],
  ["text", "volume status w1 tasks"],
  ["figures", "volume status w1 client-list"],
  ["figures", `volume status w1 ${b("w1")}`],
  ["figures", `volume status w1 ${b("w1")} detail`],
  ["start", `volume status w1 ${b("none")}`],
  ["text", "volume get w1 nfs.disable"],
  ["text", "volume get nope nfs.disable"],
  ["text", "volume profile w1 info"],
  ["exit", "system:: getspec w1"],
  ["exit", "system:: getspec nope"],
  ["text", `--remote-host=${ISLAND_HOST} volume list`],
  ["text", `--remote-host=${ISLAND_HOST} volume info w1`],
  ["figures", `--remote-host=${ISLAND_HOST} volume status w1`],
  ["text", `--remote-host=${ISLAND_HOST} peer status`],
  ["text", `--remote-host=${ISLAND_HOST} pool list`],
  ["text", `--remote-host=${ISLAND_HOST} system:: uuid get`],
  ["exit", `--remote-host=${ISLAND_HOST} volume start a3`],
  ["exit", `--remote-host=${ISLAND_HOST} volume set w1 nfs.disable on`],
  ["exit", `--remote-host=${ISLAND_HOST} volume get w1 nfs.disable`],
  ["exit", `--remote-host=${ISLAND_HOST} get-state`],
  ["exit", `--remote-host=${ISLAND_HOST} volume profile w1 info`],
];

/** Steps that tell what a client did while it was counted; run as text and as XML, too. */
const FIGURES: readonly Step[] = ["open", "read", "write", "opendir", "readdir"]
  .map((kind) => ["figures", `volume top w1 ${kind}`]);

/** Steps that change what there is, run once, as XML. */
const XML_LIFE: readonly Step[] = [
  ["text", `volume create y1 ${b("y1")}`],
  ["text", `volume create y1 ${b("y2")}`],
  ["text", "volume start y1"],
  ["text", "volume start y1"],
  ["text", "volume start nope"],
  ["text", "volume set y1 user.note hello"],
  ["text", "volume set nope user.note hello"],
  ["text", "volume set y1 features.shard on"],
  ["text", "volume reset y1 features.shard"],
  ["text", "volume profile y1 start"],
  ["figures", "volume profile y1 info"],
  ["text", "volume profile y1 stop"],
  ["text", "volume statedump y1"],
  ["text", "volume log y1 rotate"],
  ["text", "volume barrier y1 enable"],
  ["text", "volume barrier y1 disable"],
  ["text", "volume clear-locks y1 / kind all inode"],
  ["text", "volume stop y1"],
  ["text", "volume stop y1"],
  ["text", "volume delete y1"],
  ["text", "volume delete y1"],
];

/** What may differ, whoever is asked. */
function shown({ out, err, code }: Finished, care: Care): string {
  const all = `${out}${err}`
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID")
    // The self-heal daemon of a volume with copies has a row of its own.
    .replaceAll(/^Self-heal Daemon .*\n/gm, "");
  switch (care) {
    case "text":
      return `${all}[${code}]`;
    case "figures":
    case "lines":
      return `${all.replaceAll(/\d+(\.\d+)?/g, "N").replaceAll(/[ \t]+/g, " ")}[${code}]`;
    case "start":
      return `${all.replace(/[.\n:;]*\s*$/, "")}[${code}]`;
    case "exit":
      return `[${code}]`;
  }
}

/** The first difference, for people; "" if there is none. */
function difference(care: Care, ours: Finished, theirs: Finished): string {
  const one = shown(ours, care), other = shown(theirs, care);
  if (one === other) return "";
  if (care === "lines" && one.split("\n").every((line) => other.split("\n").includes(line))) {
    return "";
  }
  if (care === "start" && ours.code === theirs.code) {
    const begin = other.slice(0, other.lastIndexOf("["));
    if (one.startsWith(begin.split(/[.:;]? (?:Did|It|This)\b|\n/)[0]!)) return "";
  }
  return `--- GlusterFS\n${other}\n--- ours\n${one}\n`;
}

/** A daemon on an island, and the `gluster` that is used there. */
interface Side {
  readonly island: Island;
  readonly gluster: string;
}

function gluster({ island, gluster }: Side, words: readonly string[]): Promise<Finished> {
  return island.run([gluster, "--mode=script", ...words], { env: { DENO: Deno.execPath() } });
}

// Does every step on all sides at once, and notes for each of ours where it differs.
async function compare(
  { ours, theirs, differing }: Comparison,
  steps: readonly Step[],
  options: readonly string[],
): Promise<void> {
  for (const [care, command] of steps) {
    const words = [...options, ...command.split(" ")];
    const [wanted, ...got] = await Promise.all(
      [theirs, ...ours].map((side) => gluster(side, words)),
    );
    for (const [at, one] of got.entries()) {
      const what = difference(care, one, wanted!);
      if (what !== "") differing[at]!.push(`gluster ${words.join(" ")}\n${what}`);
    }
  }
}

/** A client of volume w1. It lists no directory but its own: GlusterFS does not count the root. */
async function useVolume(island: Island): Promise<void> {
  const at = `${ISLAND_DIR}/mount`;
  await island.must(["mkdir", at]);
  await island.must(["mount", "-t", "glusterfs", `${ISLAND_HOST}:/w1`, at]);
  await island.must([
    "sh",
    "-c",
    `echo hello >${at}/file; cat ${at}/file; mkdir ${at}/d; ls ${at}/d`,
  ]);
}

/**
 * Where our command line does better: it may look from afar at more, has XML for all verbs and for
 * inodes as they are, and a number for every failure.
 */
const BETTER =
  /--remote-host|--xml volume status w1 inode|--xml .*(barrier|clear-locks)|volume create y1 \S+y2/;

interface Judged {
  readonly name: string;
  readonly program: string;
  readonly start: (island: Island) => Promise<void>;
  /** Commands that may differ. */
  readonly except?: RegExp;
}

const JUDGED: readonly Judged[] = [
  {
    name: "every verb prints the same of our daemon as of GlusterFS's",
    program: THEIR_GLUSTER,
    start: (island) => island.startMortar(),
  },
  {
    name: "our command line and daemon under those names print the same, too",
    program: OUR_GLUSTER,
    start: (island) => island.startMortarAsGlusterd(),
    except: BETTER,
  },
];

interface Comparison {
  readonly ours: readonly Side[];
  readonly theirs: Side;
  /** By side of ours. */
  readonly differing: readonly string[][];
}

async function compareAll(): Promise<readonly string[][]> {
  await using islands = new AsyncDisposableStack();
  const side = async (program: string, start: (island: Island) => Promise<void>) => {
    const island = islands.use(await Island.create());
    await start(island);
    return { island, gluster: program };
  };
  const theirs = await side(THEIR_GLUSTER, (island) => island.startGlusterd());
  const ours: Side[] = [];
  for (const { program, start } of JUDGED) ours.push(await side(program, start));
  const differing = ours.map((): string[] => []);
  const all = { ours, theirs, differing };
  const everywhere = async (words: string) => {
    for (const each of [theirs, ...ours]) {
      const { code, out, err } = await gluster(each, ["volume", ...words.split(" ")]);
      if (code !== 0) throw new Error(`${words}: ${out}${err}`);
    }
  };
  await compare(all, LIFE, []);
  await everywhere(`create w1 ${b("w1")}`);
  await everywhere("start w1");
  await everywhere("profile w1 start");
  await Promise.all([theirs, ...ours].map(({ island }) => useVolume(island)));
  await compare(all, FIGURES, []);
  await compare(all, FIGURES, ["--xml"]);
  await everywhere("profile w1 stop");
  await compare(all, LOOKS, []);
  await compare(all, LOOKS, ["--xml"]);
  await compare(all, XML_LIFE, ["--xml", "--glusterd-sock=/run/glusterd.socket"]);
  return differing;
}

// GlusterFS's side is the slow one, and says the same each time: all are compared at once.
let compared: Promise<readonly string[][]> | undefined;

for (const [at, { name, except }] of JUDGED.entries()) {
  e2e(`gluster: ${name}`, PROGRAMS, async () => {
    const differing = (await (compared ??= compareAll()))[at]!;
    const wrong = differing.filter((each) => !except?.test(each.split("\n")[0]!));
    if (wrong.length) throw new Error(`They differ:\n${wrong.join("\n")}`);
  });
}
