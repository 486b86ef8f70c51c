/**
 * Our commands that look, asked of a cluster like the one that GlusterFS 10.3 was asked of, print
 * what it printed. What differs on purpose is put into what it printed first: see `expected`.
 */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { type DictValue, str, Xdata } from "core/xdata.ts";
import type { Json } from "core/xlator.ts";
import type { Form } from "rpc/programs/commands.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { asJson } from "mgmt/cluster/cluster.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { KEYS, type VolumeRecord } from "mgmt/records.ts";
import { FakeBricks, fakeCluster } from "tests/fakes/cluster.ts";
import { COMMANDS, each, NODE, record, seen, tag } from "tests/interop/looking.ts";

/** Bricks that are up where an answer says so, and tell of themselves what `told` has for them. */
class SeenBricks extends FakeBricks {
  readonly told = new Map<string, Xdata>();

  override ask<A, R>(
    _volume: VolumeRecord,
    brick: { host: string; path: string },
    _signature: unknown,
    _args: A,
  ): Promise<R> {
    const output = this.told.get(`${brick.host}:${brick.path}`) ?? Xdata.of([]);
    return Promise.resolve({ ret: 0, errno: 0, output, error: "" } as R);
  }
}

/** The volumes of an answer of `volume info`, and the processes of one of `volume status`. */
async function like(info: string, status?: string) {
  const bricks = new SeenBricks();
  const { cluster, store } = fakeCluster("/nowhere/mortar", {
    nodeId: NODE,
    bricks,
    isOwn: (host) => Promise.resolve(host === "10.88.0.1"),
  });
  await store.transact((transaction) => {
    for (const volume of each(seen(info).xml.stdout, "volume").map(record)) {
      transaction.put(KEYS.volume(volume.name), asJson(volume) as Json);
    }
    return Promise.resolve();
  });
  for (const node of each(status === undefined ? "" : seen(status).xml.stdout, "node")) {
    if (tag(node, "status") !== "1") continue;
    bricks.up.set(`${tag(node, "hostname")}:${tag(node, "path")}`, {
      port: Number(tag(node, "port")),
      pid: Number(tag(node, "pid")),
    });
  }
  const dispatcher = new Dispatcher(cluster, MANAGED);
  const run = async (name: string, form: Form) => {
    const { stdout, stderr, exitCode } = await dispatcher.run({
      words: seen(name).words,
      form,
      manner: "gluster",
      confirmed: true,
    });
    // What we add where the tests do not run as root.
    return { stdout: stdout.replaceAll("brick-attributes: user.*\n", ""), stderr, exitCode };
  };
  return { bricks, run };
}

/**
 * What we should print: no self-heal daemon of ours runs; nodes are counted once; inodeSize is one;
 * a brick operation that found nobody is no failure.
 */
function expected(name: string, form: "text" | "xml") {
  const { stdout, ...rest } = seen(name)[form];
  const plain = stdout
    .replaceAll(
      /^(Self-heal Daemon on localhost +)N\/A .*$/gm,
      "$1N/A       N/A        N       N/A  ",
    )
    .replace(/<opErrstr>Glusterd Syncop.*?<\/opErrstr>/, "<opErrstr/>")
    .replaceAll(
      /(<hostname>Self-heal Daemon<[^]*?<status>)1(<[^]*?<pid>)\d+/g,
      "$10$2-1",
    );
  return { ...rest, stdout: plain };
}

for (
  const [name, info] of Object.entries({
    "info-none": "info-none",
    "info-all-none": "info-none",
    "info-missing": "info-none",
    "list-none": "info-none",
    "status-none": "info-none",
    "status-missing": "info-none",
    "sync-own": "info-none",
    "sync-known": "info-none",
    "sync-stranger": "info-none",
    "peer-status-none": "info-none",
    "pool-list-own": "info-none",
    ...Object.fromEntries(
      Object.keys(COMMANDS).filter((each) => each.startsWith("info-created-"))
        .map((each) => [each, "info-all-created"]),
    ),
    "info-all-created": "info-all-created",
    "list": "info-all-created",
    "status-created": "info-all-created",
    "status-created-detail": "info-all-created",
    "status-all-created": "info-all-created",
    "info-stopped-distrep": "info-all",
    "info-options-dist": "info-all",
    "info-all": "info-all",
    "status-stopped": "info-all",
    "status-dist-shd": "info-all",
    "status-dist-quotad": "info-all",
    "status-dist-snapd": "info-all",
    "status-dist-bitd": "info-all",
    "status-dist-scrub": "info-all",
    "status-word-wrong": "info-all",
    "status-brick-missing": "info-all",
    "status-dist-tasks": "info-all",
    "status-all-tasks": "info-all",
  })
) {
  Deno.test(`tests/interop: "${seen(name).words.join(" ")}" (${name}) prints what GlusterFS's does`, async () => {
    const { run } = await like(info);
    deepEqual(await run(name, "text"), expected(name, "text"));
    deepEqual(await run(name, "xml"), expected(name, "xml"));
  });
}

for (
  const name of [
    "status-dist",
    "status-rep",
    "status-arb",
    "status-disp",
    "status-disks",
    "status-long",
    "status-all",
    "status-brick",
    "status-rep-shd",
    "status-down-rep",
    "status-down-brick",
    "status-dist-client-list",
  ]
) {
  Deno.test(`tests/interop: "${seen(name).words.join(" ")}" (${name}) shows the same processes`, async () => {
    const { run } = await like("info-all", name);
    deepEqual(await run(name, "text"), expected(name, "text"));
    deepEqual(await run(name, "xml"), expected(name, "xml"));
  });
}

for (
  const name of Object.keys(COMMANDS).filter((each) =>
    // A word too many is told of as such, not as what the word before it would be.
    seen(each).text.stderr.includes("\nUsage:\n") && each !== "get-state-wrong"
  )
) {
  Deno.test(`tests/interop: "${seen(name).words.join(" ")}" is refused with the same words`, async () => {
    const { run } = await like("info-all");
    const first = (text: string) => text.split("\n")[0];
    const { stdout, stderr, exitCode } = await run(name, "text");
    equal(first(stderr), first(seen(name).text.stderr));
    equal(stdout, "");
    equal(exitCode, 1);
  });
}

const integer = (value: string): DictValue => ({ type: "int", value: Number(value) });

/** Dictionaries of the bricks by what `volume status V clients` shows in XML. */
function toldClients(xml: string): [string, Xdata][] {
  return each(xml, "node").map((node) => {
    const clients = each(node, "client").flatMap((at, n): [string, DictValue][] => [
      [`client${n}.hostname`, str(tag(at, "hostname"))],
      [`client${n}.bytesread`, integer(tag(at, "bytesRead"))],
      [`client${n}.byteswrite`, integer(tag(at, "bytesWrite"))],
      [`client${n}.opversion`, integer(tag(at, "opVersion"))],
    ]);
    return [
      `${tag(node, "hostname")}:${tag(node, "path")}`,
      Xdata.of([...clients, ["clientcount", integer(`${clients.length / 4}`)]]),
    ];
  });
}

for (const name of ["status-dist-used-clients", "status-rep-clients", "status-down-rep-clients"]) {
  Deno.test(`tests/interop: clients (${name}) are listed as GlusterFS lists them`, async () => {
    const { bricks, run } = await like("info-all", name);
    for (const [brick, told] of toldClients(seen(name).xml.stdout)) bricks.told.set(brick, told);
    // Their answers come from different moments: what differs is the connections' bytes.
    const moment = (text: string) => text.replaceAll(/(\n\S+:\d+) +\d+ +\d+ /g, "$1 ");
    const text = await run(name, "text"), xml = await run(name, "xml");
    equal(moment(text.stdout), moment(seen(name).text.stdout));
    const counted = (text: string) => text.replace(/<nodeCount>\d+/, "<nodeCount>");
    equal(counted(xml.stdout), counted(expected(name, "xml").stdout));
  });
}

/** A brick's answer of numbers, and its form in text. */
const FIGURES: readonly {
  readonly name: string;
  /** Values in the text, by the key of the brick's dictionary. */
  readonly values: readonly (readonly [key: string, value: RegExp])[];
  readonly fixed?: Readonly<Record<string, string>>;
}[] = [{
  name: "mem",
  values: [
    "Arena",
    "Ordblks",
    "Smblks",
    "Hblks",
    "Hblkhd",
    "Usmblks",
    "Fsmblks",
    "Uordblks",
    "Fordblks",
    "Keepcost",
  ].map((word) =>
    [`mallinfo.${word.toLowerCase()}`, new RegExp(`^${word} *: (\\d+)$`, "m")] as const
  ),
}, {
  name: "callpool",
  values: [
    ["callpool.count", /^Pending calls: (\d+)$/m],
    ["callpool.stack0.uid", /^ UID +: (\d+)$/m],
    ["callpool.stack0.gid", /^ GID +: (\d+)$/m],
    ["callpool.stack0.pid", /^ PID +: (\d+)$/m],
    ["callpool.stack0.unique", /^ Unique +: (\d+)$/m],
  ],
}, {
  name: "fd",
  values: [],
}];

for (const { name: form, values } of FIGURES) {
  Deno.test(`tests/interop: ${form} of bricks is shown as GlusterFS shows it`, async () => {
    const name = `status-rep-${form}`;
    const { bricks, run } = await like("info-all", "status-rep");
    const wanted = seen(name).text.stdout;
    for (const part of wanted.split(/^-{46}$/m)) {
      const brick = /^Brick : (.*)$/m.exec(part)?.[1];
      if (brick === undefined) continue;
      const told = values.map(([key, value]): [string, DictValue] => [
        key,
        integer(value.exec(part)![1]!),
      ]);
      bricks.told.set(brick, Xdata.of(told));
    }
    // A frame whose values GlusterFS leaves out is one that ours does not have.
    const frames = wanted.replaceAll(/^ Frames : 1\n Frame 1$/gm, " Frames : 0");
    equal((await run(name, "text")).stdout, frames);
  });
}

Deno.test("tests/interop: inode tables of bricks are shown as GlusterFS shows them", async () => {
  const name = "status-dist-used-inode";
  const { bricks, run } = await like("info-all", "status-dist");
  const wanted = seen(name).text.stdout;
  for (const part of wanted.split(/^-{46}$/m)) {
    const brick = /^Brick : (.*)$/m.exec(part)?.[1];
    const numbers = [...part.matchAll(/: (\d+)$/gm)].map(([, value]) => integer(value!));
    if (brick === undefined) continue;
    equal(numbers.length, 4);
    bricks.told.set(
      brick,
      Xdata.of([
        ["conncount", integer("1")],
        ["conn0.itable.lru_limit", numbers[0]!],
        ["conn0.itable.active_size", numbers[1]!],
        ["conn0.itable.lru_size", numbers[2]!],
        ["conn0.itable.purge_size", numbers[3]!],
      ]),
    );
  }
  // It numbers the connections that share a table; we have one table.
  equal((await run(name, "text")).stdout, wanted.replaceAll("Connection 1:\n", ""));
});

Deno.test("tests/interop: kinds of clients are counted as GlusterFS counts them", async () => {
  for (
    const [name, clients] of [
      ["status-dist-used-client-list", ["fuse.dist", "fuse.other"]],
      ["status-rep-client-list", ["glustershd"]],
    ] as const
  ) {
    const { bricks, run } = await like("info-all", name);
    for (const brick of bricks.up.keys()) {
      bricks.told.set(
        brick,
        Xdata.of([
          ["clientcount", integer(`${clients.length}`)],
          ...clients.map((each, n): [string, DictValue] => [`client${n}.name`, str(each)]),
        ]),
      );
    }
    deepEqual(await run(name, "text"), expected(name, "text"));
    deepEqual(await run(name, "xml"), expected(name, "xml"));
  }
});

Deno.test("tests/interop: every form of the status is well-formed XML", async () => {
  const { run } = await like("info-all", "status-all");
  for (const [name, { words }] of Object.entries(COMMANDS)) {
    if (words[0] === "get-state") continue;
    const { stdout } = await run(name, "xml");
    if (stdout === "") continue;
    ok(stdout.startsWith("<?xml"), name);
    const open: string[] = [];
    for (const [, end, word, empty] of stdout.matchAll(/<(\/?)([a-zA-Z]+)[^>]*?(\/?)>/g)) {
      if (end) equal(open.pop(), word);
      else if (!empty) open.push(word!);
    }
    deepEqual(open, []);
  }
});
