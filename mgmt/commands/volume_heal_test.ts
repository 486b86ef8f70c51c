/** `volume heal` on a self-heal daemon that answers as told. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import type { Decision } from "core/healer.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeHeal } from "mgmt/commands/volume_heal.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import type { HealAnswer, HealOrder } from "mgmt/heal/orders.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

/** Runs lines on a volume "v" of two copies; `count`: what their bricks list. */
async function withVolume(
  { count, started = true, outcome = "healed", copies = true }: {
    readonly count: readonly (number | null)[];
    readonly started?: boolean;
    readonly outcome?: Decision;
    readonly copies?: boolean;
  },
  body: (
    run: (line: string, form?: "text" | "xml") => Promise<string>,
    options: () => Promise<Readonly<Record<string, string>>>,
  ) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-heal-" });
  try {
    const counts = count.map((count, index) => ({ brick: `v-client-${index}`, count }));
    const crawl = {
      type: "FULL",
      begin: 0,
      end: 1000,
      healed: 3,
      splitBrain: 1,
      failed: 0,
    } as const;
    const ask = ({ order }: HealOrder): Promise<HealAnswer> => {
      if (order === "counts") return Promise.resolve({ counts });
      if (order === "statistics") {
        return Promise.resolve({ crawls: [{ ...crawl, set: "v-replicate-0" }] });
      }
      if (order === "decide") {
        return Promise.resolve({ decided: [{ file: "/f", outcome }] });
      }
      if (order === "entries") return Promise.resolve({ entries: {} });
      const away = counts.filter(({ count }) => count === null).map(({ brick }) => brick);
      return Promise.resolve({ away });
    };
    const healer = { status: { online: true, pid: 1 }, ask };
    const { cluster } = fakeCluster(`${dir}/home`, { healer });
    const dispatcher = new Dispatcher(cluster, [volumeCreate, volumeStart, volumeHeal]);
    const run = async (line: string, form: "text" | "xml" = "text") => {
      const words = line.split(/ +/);
      const told = await dispatcher.run({ words, form, manner: "gluster", confirmed: true });
      return `${told.stdout}${told.stderr}[${told.exitCode}]`;
    };
    await run(`volume create v ${copies ? "replica 2" : ""} h:${dir}/a h:${dir}/b force`);
    if (started) await run("volume start v");
    await body(run, async () => (await cluster.volume("v")).options);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const GRANULAR = "volume heal v granular-entry-heal";

Deno.test("volume heal: names are noted from now on only if none was missed before", async () => {
  const said = [
    { count: [0, 2], why: /^One or more entries need heal\. .*\nVolume heal failed\.\n\[11\]$/ },
    {
      count: [0, null],
      why: /^One or more bricks could be down\. .*\nVolume heal failed\.\n\[107\]$/,
    },
    { count: [0, 0], why: /^Enable granular entry heal on volume v has been successful \n\[0\]$/ },
  ];
  for (const { count, why } of said) {
    await withVolume({ count }, async (run, options) => {
      match(await run(`${GRANULAR} disable`), / has been successful \n\[0\]$/);
      match(await run(`${GRANULAR} enable`), why);
      const now = (await options())["cluster.granular-entry-heal"];
      equal(now, count[1] === 0 ? "enable" : "disable");
    });
  }
});

Deno.test("volume heal: healing is switched on and off while the volume is not started", async () => {
  await withVolume({ count: [], started: false }, async (run, options) => {
    match(
      await run("volume heal v disable"),
      /^Disable heal on volume v has been successful \n\[0\]/,
    );
    equal((await options())["cluster.self-heal-daemon"], "disable");
    match(await run("volume heal v"), /Volume v is not started\.\n\[1\]$/);
  });
});

Deno.test("volume heal: with a brick away it is said as GlusterFS says it", async () => {
  await withVolume({ count: [4, null] }, async (run) => {
    match(
      await run("volume heal v"),
      /^Launching heal operation .* has been unsuccessful:\n.*\[1\]$/s,
    );
    match(
      await run("volume heal v full"),
      /^Launching heal operation .* has been successful .*\[0\]$/s,
    );
    match(
      await run("volume heal v statistics heal-count"),
      /\/a\nNumber of entries: 4\n\nBrick .*\/b\nStatus: Brick is not connected\nNo gathered input for this brick\n\[0\]$/,
    );
    const [, brick] = /Brick (h:\S+b)\n/.exec(await run("volume heal v statistics heal-count"))!;
    match(
      await run(`volume heal v split-brain source-brick ${brick}`),
      /^Brick h:.*\/b: Transport endpoint is not connected\nVolume heal failed\.\n\[107\]$/,
    );
    match(
      await run("volume heal v split-brain bigger-file f"),
      /^<FILE> must be absolute path w\.r\.t\. the volume, starting with '\/'\n/,
    );
  });
});

Deno.test("volume heal: with all bricks away nobody reads that nothing waits for heal", async () => {
  await withVolume({ count: [null, null] }, async (run) => {
    for (const what of ["info", "info summary", "info split-brain"]) {
      const said = /^None of its bricks is reached; .*\nVolume heal failed\.\n\[251\]$/;
      match(await run(`volume heal v ${what}`), said);
      match(await run(`volume heal v ${what}`, "xml"), /<opRet>-1<\/opRet>[^]*\[251\]$/);
    }
    match(await run("volume heal v statistics heal-count"), /Brick is not connected[^]*\[0\]$/);
  });
});

Deno.test("volume heal: XML tells what text tells, and fails as it does", async () => {
  await withVolume({ count: [4, 0] }, async (run) => {
    const count = await run("volume heal v statistics heal-count", "xml");
    match(count, /<name>h:.*\/a<\/name>\s*<status>Connected<\/status>\s*<numberOfEntries>4</);
    match(
      await run("volume heal v statistics", "xml"),
      /<crawl>\s*<type>FULL<\/type>\s*<startTime>Thu Jan {2}1 00:00:00 1970<\/startTime>[^]*<healed>3</,
    );
    match(
      await run("volume heal v split-brain bigger-file /f", "xml"),
      /<splitBrain>\s*<file outcome="healed">\/f<\/file>/,
    );
    match(
      await run("volume heal none info", "xml"),
      /<opErrstr>Volume none does not exist<.*\[254\]$/s,
    );
  });
});

Deno.test("volume heal: what GlusterFS leaves to glfsheal ends with glfsheal's exit codes, as text and as XML", async () => {
  const codes = async (asked: readonly string[], given: Parameters<typeof withVolume>[0]) => {
    const told: Record<string, string> = {};
    await withVolume(given, async (run) => {
      for (const line of asked) {
        for (const form of ["text", "xml"] as const) {
          told[line] = `${told[line] ?? ""}${
            /\[\d+\]$/.exec(await run(`volume heal ${line}`, form))
          }`;
        }
      }
    });
    return told;
  };
  const decide = "v split-brain bigger-file";
  const asked = ["v info", "v info summary", `${decide} /f`, "v granular-entry-heal enable", "v"];
  deepEqual(await codes(asked, { count: [0, 0], started: false }), {
    "v info": "[251][251]",
    "v info summary": "[251][251]",
    [`${decide} /f`]: "[251][251]",
    "v granular-entry-heal enable": "[251][251]",
    v: "[1][1]",
  });
  deepEqual(await codes(["none info", "none split-brain latest-mtime /f", "none"], { count: [] }), {
    "none info": "[254][254]",
    "none split-brain latest-mtime /f": "[254][254]",
    none: "[1][1]",
  });
  const outcomes: readonly (readonly [Decision, string, string])[] = [
    ["not found", "[22][22]", "[2][2]"],
    ["copies away", "[107][107]", "[107][107]"],
    ["not split-brain", "[1][1]", "[1][1]"],
    ["no bigger file", "[1][1]", "[1][1]"],
    ["healed", "[0][0]", "[0][0]"],
  ];
  for (const [outcome, byPath, byGfid] of outcomes) {
    const gfid = `${decide} gfid:11111111-1111-1111-1111-111111111111`;
    deepEqual(await codes([`${decide} /f`, gfid], { count: [0, 0], outcome }), {
      [`${decide} /f`]: byPath,
      [gfid]: byGfid,
    });
  }
});

Deno.test("volume heal: of a volume without copies everything is refused, by glfsheal's code where that answers", async () => {
  await withVolume({ count: [], copies: false }, async (run) => {
    match(await run("volume heal v info"), /of type replicate\/disperse\n.*\n\[234\]$/);
    match(await run("volume heal v info split-brain"), /of type replicate\n.*\n\[234\]$/);
    match(await run("volume heal v statistics"), /of type replicate\n\[1\]$/);
  });
});

Deno.test("volume heal: a full heal is refused where no brick can be reached, one that some do not get is not", async () => {
  await withVolume({ count: [null, null] }, async (run) => {
    match(await run("volume heal v full"), /has been unsuccessful:\nNo brick .*\n\[1\]$/);
  });
});
