import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { str, valueText, Xdata } from "core/xdata.ts";
import type { Json } from "core/xlator.ts";
import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { dictionary, RequestDict } from "mgmt/legacy/request_dict.ts";
import type { Run } from "mgmt/legacy/run.ts";
import { VERBS } from "mgmt/legacy/verbs.ts";
import type { StatusRow } from "mgmt/status/volume_status.ts";
import { GLUSTER_CLI } from "rpc/programs/gluster_cli.ts";

type Dict = Readonly<Record<string, string>>;
interface Reply {
  readonly ret: number;
  readonly errno: number;
  readonly error: string;
  readonly dict: Dict | null;
}
interface Call {
  readonly procedure: keyof typeof GLUSTER_CLI;
  readonly request: { readonly dict: Dict | null };
  readonly reply: Reply;
}

// What gluster and glusterd 10.3 said to each other; made by scripts/capture/gluster_cli.ts.
const GOLDEN = JSON.parse(
  await Deno.readTextFile(new URL("../../tests/interop/gluster_cli.json", import.meta.url)),
) as readonly {
  readonly command: string;
  readonly exit: number;
  readonly calls: readonly Call[];
}[];

function golden(command: string, at = 0): Call[] {
  const found = GOLDEN.filter((each) => each.command === command)[at];
  ok(found, `not captured: ${command}`);
  return found.calls.map((call) => {
    // Only these tell it to a person; in other replies it is left over from what daemons told each other.
    if (/^(start|stop|delete)Volume$/.test(call.procedure) || !call.reply.dict) return call;
    const { "vol-id": _id, ...dict } = call.reply.dict;
    return { ...call, reply: { ...call.reply, dict } };
  });
}

function request(dict: Dict | null): RequestDict {
  const entries = Object.entries(dict ?? {}).map(([name, value]) => [name, str(value)] as const);
  return new RequestDict(Xdata.of(entries));
}

function runner(answers: Readonly<Record<string, Json>>, asked: string[] = []): Run {
  return (words) => {
    const line = words.join(" ");
    asked.push(line);
    const value = answers[line];
    if (value === undefined) throw new Refusal(`not foreseen: ${line}`);
    return Promise.resolve({ value, text: () => String(value) });
  };
}

/** Names of all that the reply would have. */
async function told(call: Call, answers: Readonly<Record<string, Json>>): Promise<Dict> {
  const verb = VERBS.get(GLUSTER_CLI[call.procedure])!, asks = request(call.request.dict);
  const { entries } = await verb.perform(runner(answers), asks);
  const dict = verb.bare ? dictionary(entries) : asks.reply(entries);
  return Object.fromEntries([...dict].map(([name, value]) => [name, valueText(value)!]));
}

function sameKeys(ours: Dict, theirs: Dict): void {
  deepEqual(Object.keys(ours).sort(), Object.keys(theirs).sort());
}

const anything: Run = () =>
  Promise.resolve({ value: { summary: "", options: [], kept: [] }, text: () => "" });

/** Said otherwise by us: theirs, ours. */
const OTHERWISE: readonly (readonly [RegExp, string])[] = [
  [/^(volume log) (\S+) rotate/, "$1 rotate $2"],
  [/^(volume create \S+(?: \w+ \d+)*)(?= \S+:\/)/, "$1 transport tcp"],
  [/^(volume reset \S+)$/, "$1 all"],
  [/^get-state(?! glusterd)/, "get-state glusterd"],
  [/^(volume top \S+ (?!clear)\S+(?: brick \S+)?(?: bs \d+ count \d+)?)$/, "$1 list-cnt 100"],
];

/** Those that become more than one line, or that gluster itself says otherwise. */
const SEVERAL = /^volume (status|info|list)$|all detail$|virt$|^volume set help$/;

Deno.test("mgmt/legacy: a request becomes the command line that it was made of", async () => {
  let compared = 0;
  for (const { command, calls } of GOLDEN) {
    const verb = calls.length === 1 && VERBS.get(GLUSTER_CLI[calls[0]!.procedure]);
    if (!verb || verb.bare || /^--remote/.test(command) || SEVERAL.test(command)) continue;
    const expected = OTHERWISE.reduce(
      (line, [theirs, ours]) => line.replace(theirs, ours),
      command,
    );
    const asked: string[] = [];
    const run: Run = (words) => {
      asked.push(words.join(" "));
      return anything(words);
    };
    await verb.perform(run, request(calls[0]!.request.dict)).catch(() => {});
    deepEqual(asked, [expected]);
    compared++;
  }
  ok(compared > 80, `only ${compared}`);
});

const ROW: StatusRow = {
  of: "brick",
  hostname: "10.77.9.1",
  path: "/bricks/d1",
  peerId: "u",
  online: true,
  port: 49152,
  pid: 7,
};
const ROWS: readonly StatusRow[] = [ROW, { ...ROW, path: "/bricks/d2" }];
const STATUS = { all: false, only: null } as const;

function status(rows: readonly StatusRow[], form: string | null, more: object = {}): Json {
  return {
    ...STATUS,
    form,
    volumes: ["d2", "r3"].map((name) => ({ name, baseType: 0, rows, ...more })),
  } as unknown as Json;
}

Deno.test("mgmt/legacy: volume status replies with the keys of GlusterFS in every form", async () => {
  const disk = {
    total: 1,
    free: 1,
    blockSize: 1,
    inodesTotal: 1,
    inodesFree: 1,
    device: "d",
    fsName: "ext4",
    mountOptions: "rw",
  };
  const itable = {
    lruLimit: 1,
    activeSize: 1,
    lruSize: 0,
    purgeSize: 0,
    active: [],
    lru: [],
    purge: [],
  };
  const client = { hostname: "h:1", bytesRead: 1, bytesWritten: 2, opVersion: 3, name: "fuse" };
  const with_ = (more: object) => ROWS.map((row) => ({ ...row, ...more }));
  const shd = {
    ...ROW,
    of: "shd",
    hostname: "Self-heal Daemon",
    path: "localhost",
    port: 0,
  } as const;
  const r3 = [...ROWS, { ...ROW, path: "/bricks/r3" }];
  const cases: readonly (readonly [command: string, at: number, answer: Json])[] = [
    ["volume status d2", 1, status(ROWS, null, { tasks: [] })],
    ["volume status r3", 0, status([...r3, shd], null, { tasks: [] })],
    ["volume status d2 detail", 0, status(with_({ disk }), "detail")],
    ["volume status d2 clients", 1, status(with_({ clients: [client] }), "clients")],
    ["volume status d2 fd", 1, status(with_({ fds: [] }), "fd")],
    ["volume status d2 inode", 1, status(with_({ inodes: [itable] }), "inode")],
    ["volume status d2 tasks", 0, status([], "tasks", { tasks: [] })],
    [
      "volume status r3 client-list",
      0,
      status(r3, "client-list", { clientCounts: [{ name: "glustershd", count: 1 }] }),
    ],
    ["volume status d2 10.77.9.1:/bricks/d1", 0, status([ROW], null)],
  ];
  for (const [command, at, answer] of cases) {
    const [call] = golden(command, at);
    const ours = await told(call!, { [command]: answer });
    sameKeys(ours, call!.reply.dict!);
    for (const key of ["brick-index-max", "other-count", "tasks", "type", "hot_brick_count"]) {
      equal(ours[key], call!.reply.dict![key], `${command}: ${key}`);
    }
  }
});

Deno.test("mgmt/legacy: memory and calls of a brick have the keys that gluster reads", async () => {
  const mallinfo = Object.fromEntries(
    "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split(" ")
      .map((name) => [name, 1]),
  );
  const mem = await told(golden("volume status d2 mem")[0]!, {
    "volume status d2 mem": status([{ ...ROW, memory: { mallinfo, pools: [] } } as never], "mem"),
  });
  equal(mem["brick0.mallinfo.keepcost"], "1");
  equal(mem["brick0.mempool-count"], undefined);
  const frame = { refCount: 1, translator: "t", complete: false, parent: "p" };
  const call = { uid: 0, gid: 0, pid: 1, unique: 6, frames: [frame] };
  const pool = await told(golden("volume status d2 callpool")[0]!, {
    "volume status d2 callpool": status([{ ...ROW, calls: [call] }], "callpool"),
  });
  const at = "brick0.callpool.stack0";
  deepEqual(
    [pool["brick0.callpool.count"], pool[`${at}.count`], pool[`${at}.frame0.parent`]],
    ["1", "1", "p"],
  );
});

Deno.test("mgmt/legacy: all volumes are told of by name first, then one by one", async () => {
  const [names] = golden("volume status", 1);
  const ours = await told(names!, { "volume list": { volumes: ["a3", "d2", "dr", "e3", "r3"] } });
  deepEqual(ours, names!.reply.dict);
});

const INFO = {
  name: "a3",
  id: "UUID",
  status: 0,
  statusText: "Created",
  snapshotCount: 0,
  brickCount: 3,
  distCount: 1,
  leafCount: 3,
  replicaCount: 3,
  arbiterCount: 1,
  disperseCount: 0,
  redundancyCount: 0,
  stripeCount: 1,
  baseType: 2,
  type: 2,
  typeText: "Replicate",
  bricks: ["a1", "a2", "a3"].map((name) => ({
    name: `10.77.9.1:/bricks/${name}`,
    hostUuid: "UUID",
    isArbiter: name === "a3",
  })),
  options: [
    { name: "cluster.granular-entry-heal", value: "on" },
    { name: "storage.fips-mode-rchecksum", value: "on" },
    { name: "transport.address-family", value: "inet" },
    { name: "nfs.disable", value: "on" },
    { name: "performance.client-io-threads", value: "off" },
  ],
};

Deno.test("mgmt/legacy: volume info replies as GlusterFS does, options in its order", async () => {
  const [call] = golden("volume info a3");
  const ours = await told(call!, { "volume info a3": { volume: "a3", volumes: [INFO] } });
  deepEqual(ours, call!.reply.dict);
  const optionsOf = (dict: Dict) => Object.keys(dict).filter((key) => key.includes(".option."));
  deepEqual(optionsOf(ours), optionsOf(call!.reply.dict!));
});

Deno.test("mgmt/legacy: a word that means all volumes is no volume's name", async () => {
  const answers = {
    "volume info all": { volume: null, volumes: [INFO] },
    "volume status all": status(ROWS, null, { tasks: [] }),
  };
  const info = VERBS.get(GLUSTER_CLI.getVolume)!, one = { flags: "2", volname: "all" };
  deepEqual(await info.perform(runner(answers), request(one)), { entries: [["count", 0]] });
  const { perform } = VERBS.get(GLUSTER_CLI.statusVolume)!;
  const asked = perform(runner(answers), request({ cmd: "256", volname: "all" }));
  await rejects(asked, /Volume all does not exist/);
});

Deno.test("mgmt/legacy: the next volume is the one after the name, and none after the last", async () => {
  const calls = golden("volume info", 1);
  const answers = {
    "volume list": { volumes: ["a3", "gone"] },
    "volume info a3": { volume: "a3", volumes: [INFO] },
  };
  const run: Run = (words) => {
    if (words[2] !== "gone") return runner(answers)(words);
    throw new Refusal("Volume gone does not exist", OP_ERRNO.noVolume);
  };
  const { perform } = VERBS.get(GLUSTER_CLI.getVolume)!;
  const first = await perform(run, request(calls[0]!.request.dict));
  equal(first.entries.find(([name]) => name === "volume0.name")?.[1], "a3");
  const last = await perform(run, request(calls[1]!.request.dict));
  deepEqual(last, { entries: [["count", 0]] });
});

Deno.test("mgmt/legacy: other answers have the keys of GlusterFS, too", async () => {
  const cases: Readonly<Record<string, Readonly<Record<string, Json>>>> = {
    "volume list": { "volume list": { volumes: [] } },
    "system:: uuid get": { "system:: uuid get": { uuid: "UUID" } },
    "volume get d2 user.note": {
      "volume get d2 user.note": { options: [{ key: "user.note", value: "hello" }] },
    },
    "volume clear-locks d2 / kind all inode": {
      "volume clear-locks d2 / kind all inode": { summary: "No locks cleared." },
    },
    "get-state odir /tmp/capture/ file state": {
      "get-state glusterd odir /tmp/capture/ file state": {
        daemon: "glusterd",
        path: "/tmp/capture/state",
      },
    },
    "volume start d2": { "volume start d2": { volume: "d2", id: "UUID", warnings: [] } },
    "volume barrier d2 enable": { "volume barrier d2 enable": {} },
  };
  for (const [command, answers] of Object.entries(cases)) {
    const [call] = golden(command);
    deepEqual(await told(call!, answers), call!.reply.dict, command);
  }
});

/** Keys of the first brick's; which fops there were is not the point. */
function ofFirst(dict: Dict): string[] {
  return Object.keys(dict).filter((key) => key.startsWith("1-"))
    .filter((key) => !/^1--?\d+-(\d+-\w+|(read|write)-\d+)$/.test(key)).sort();
}

Deno.test("mgmt/legacy: profile and top reply with the keys of GlusterFS", async () => {
  const period = { seconds: 5, bytesRead: 0, bytesWritten: 65536, reads: [], fops: [] };
  const writes = [[4096, 6]] as const;
  const fop = { fop: "writev", hits: 8, timed: 8, averageNs: 72603.5, minNs: 48347, maxNs: 92923 };
  const cumulative = { ...period, interval: -1, writes, fops: [fop] };
  const profileOf = (info: number, ...periods: readonly Json[]): Json => ({
    volume: "d2",
    action: "info",
    info,
    bricks: ["d1", "d2"].map((name) => ({
      brick: `10.77.9.1:/bricks/${name}`,
      cleared: info === 4,
      periods,
    })),
  });
  const topOf = (kind: string, brick: Record<string, Json>): Json => ({
    volume: "d2",
    kind,
    bricks: [{ brick: "10.77.9.1:/bricks/d1", cleared: false, files: [], ...brick }],
  });
  const opens = { now: 0, most: 0, mostAt: "N/A" };
  const counted = { name: "/f4", value: 1, at: 0 }, timed = { ...counted, at: 1795358292378 };
  const cases: readonly (readonly [command: string, line: string, at: number, answer: Json])[] = [
    ["volume profile d2 info", "", 1, profileOf(1, cumulative, { ...period, interval: 0, writes })],
    ["volume profile d2 info cumulative", "", 0, profileOf(3, cumulative)],
    ["volume profile d2 info clear", "", 0, profileOf(4)],
    ["volume top d2 open", " list-cnt 100", 0, topOf("open", { opens, files: [counted] })],
    ["volume top d2 read", " list-cnt 100", 0, topOf("read", {})],
    [
      "volume top d2 write-perf bs 4096 count 2",
      " list-cnt 100",
      0,
      topOf("write-perf", { files: [timed, timed], disk: { throughput: 292.5, time: 28 } }),
    ],
    ["volume top d2 clear", "", 0, topOf("clear", { cleared: true })],
  ];
  for (const [command, more, at, answer] of cases) {
    const [call] = golden(command, at);
    const ours = await told(call!, { [command + more]: answer });
    deepEqual(ofFirst(ours), ofFirst(call!.reply.dict!), command);
    if (command.endsWith("cumulative")) {
      equal(ours["1--1-13-hits"], "8");
      equal(ours["1--1-13-avglatency"], "72603.5");
      equal(ours["1--1-write-4096"], "6");
    }
  }
});

Deno.test("mgmt/legacy: a request with odd values is refused by the name of the key", async () => {
  const refused = (procedure: number, dict: Dict, key: RegExp) =>
    rejects(async () => {
      await VERBS.get(procedure)!.perform(anything, request(dict));
    }, (error) => error instanceof Refusal && key.test(error.message));
  const create = { volname: "v", type: "0", transport: "tcp", force: "0" };
  await refused(GLUSTER_CLI.startVolume, {}, /"volname": it is missing/);
  await refused(GLUSTER_CLI.startVolume, { volname: "a\nb" }, /"volname"/);
  await refused(GLUSTER_CLI.startVolume, { volname: "v", flags: "2" }, /"flags"/);
  await refused(GLUSTER_CLI.createVolume, { ...create, count: "2", bricks: " h:/b " }, /"bricks"/);
  await refused(GLUSTER_CLI.createVolume, { ...create, count: "1", bricks: "force" }, /"bricks"/);
  await refused(
    GLUSTER_CLI.createVolume,
    { ...create, type: "3", count: "1", bricks: "h:/b" },
    /"type"/,
  );
  await refused(GLUSTER_CLI.setVolume, { volname: "v", count: "2" }, /"key1"/);
  await refused(GLUSTER_CLI.statusVolume, { volname: "v", cmd: "-1" }, /"cmd"/);
  await refused(
    GLUSTER_CLI.statusVolume,
    { volname: "v", cmd: String(0x400), brick: "detail" },
    /"brick"/,
  );
  await refused(GLUSTER_CLI.getVolume, { flags: "1" }, /"flags"/);
  await refused(
    GLUSTER_CLI.getState,
    { daemon: "glusterd", "getstate-cmd": "9" },
    /"getstate-cmd"/,
  );
});
