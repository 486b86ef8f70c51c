/** Graphs that people wrote themselves, mounted by `mortar client --volfile`, and worked through. */

import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { processesNaming, run, until } from "tests/e2e/process.ts";
import { XLATORS } from "xlators/mod.ts";
import { MORTAR } from "tests/e2e/program.ts";

const CASES = new URL("./fs_cases.py", import.meta.url).pathname;

/** `NAME TYPE KEY=VALUE… < SUBVOLUME…`; `@` is a directory of the test. A line without `<` stacks. */
type Line = string;

/** A stack such as a brick's over one directory, ending in `NAME`. */
function brick(name: string, ...more: readonly Line[]): Line[] {
  return [
    `${name}-posix storage/posix directory=@${name} <`,
    `${name}-access features/access-control`,
    ...more,
    `${name}-locks features/locks`,
    `${name}-index features/index index-base=@${name}/.glusterfs/indices ` +
    "xattrop-dirty-watchlist=trusted.afr.dirty xattrop-pending-watchlist=trusted.afr.vol-",
    `${name} debug/io-stats`,
  ];
}

const GRAPHS: Readonly<Record<string, readonly Line[]>> = {
  "a directory with nothing above it": ["top storage/posix directory=@a <"],
  "all layers of a brick": [
    ...brick(
      "a",
      "r features/changed-ranges index-base=@a/.glusterfs/indices",
      "b features/barrier",
      "u features/upcall cache-invalidation=on",
      "t performance/io-threads",
      "c features/utime",
      "ro features/read-only read-only=off",
      "w features/worm worm=off",
    ),
    "tr debug/trace",
    "e debug/error-gen failure=0",
    "d debug/delay-gen delay-percentage=5 delay-duration=100",
  ],
  "all layers that make clients fast, and those that are not ours": [
    ...brick("a"),
    "wb performance/write-behind",
    "ra performance/read-ahead",
    "io performance/io-cache",
    "qr performance/quick-read",
    "rda performance/readdir-ahead",
    "ob performance/open-behind",
    "md performance/md-cache",
    "qc features/qcow2",
    "ga features/gfid-access",
  ],
  "files distributed over two directories": [
    ...brick("a"),
    ...brick("b"),
    "top cluster/distribute < a b",
  ],
  "three copies, one of them an arbiter's": [
    ...brick("a"),
    ...brick("b"),
    ...brick("c", "c-arbiter features/arbiter"),
    "vol-replicate-0 cluster/replicate arbiter-count=1 afr-pending-xattr=vol-a,vol-b,vol-c < a b c",
    "wb performance/write-behind",
  ],
  "files distributed over pairs of copies": [
    ...["a", "b", "c", "d"].flatMap((name) => brick(name)),
    "r0 cluster/replicate afr-pending-xattr=vol-a,vol-b < a b",
    "r1 cluster/replicate afr-pending-xattr=vol-c,vol-d < c d",
    "top cluster/distribute < r0 r1",
    "md performance/md-cache",
  ],
};
/** Not in graphs of mounts by themselves: the mount, and what needs a network, an image or a history. */
const ELSEWHERE = [
  ...["mount/fuse", "protocol/client", "protocol/server"],
  ...["features/snapshot", "features/clone"],
];

function volfile(lines: readonly Line[], dir: string): string {
  let last = "";
  return lines.map((line) => {
    const [own, below] = line.replaceAll("@", `${dir}/`).split("<");
    const [name, type, ...options] = own!.trim().split(" ");
    const subvolumes = below === undefined ? last : below.trim();
    last = name!;
    return [
      `volume ${name}`,
      `type ${type}`,
      ...options.map((each) => `option ${each.replace("=", " ")}`),
      ...(subvolumes ? [`subvolumes ${subvolumes}`] : []),
      "end-volume",
    ].join("\n");
  }).join("\n\n");
}

Deno.test("own volfiles: every kind of layer is in one of the graphs", () => {
  const used = new Set(Object.values(GRAPHS).flat().map((line) => line.split(" ")[1]));
  const missing = XLATORS.map(({ type }) => type).filter((type) => !used.has(type));
  equal(missing.filter((type) => !ELSEWHERE.includes(type)).join(), "");
});

// `work` is told what the client said to who asked for the mount.
async function mounted(
  lines: readonly Line[],
  work: (path: string, said: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "own-volfiles-" });
  const path = `${dir}/mount`, log = `${dir}/log`;
  try {
    await Deno.chmod(dir, 0o755);
    for (const name of ["mount", "a", "b", "c", "d"]) await Deno.mkdir(`${dir}/${name}`);
    await Deno.writeTextFile(`${dir}/vol`, volfile(lines, dir));
    const argv = [MORTAR, "client", "-oacl", `-l${log}`, "--volfile", `${dir}/vol`, path];
    const { code, err } = await run(argv, { env: { DENO: Deno.execPath() } });
    if (code) throw new Error(err);
    await work(path, err);
  } finally {
    await run(["umount", "-l", path]);
    const pids = () => processesNaming(`${path}\0--foreground`);
    await until("the client has ended", () => pids().length === 0);
    await Deno.remove(dir, { recursive: true });
  }
}

for (const [what, lines] of Object.entries(GRAPHS)) {
  e2e(`own volfiles: ${what}`, [], () =>
    mounted(lines, async (path) => {
      for (const name of ["names", "links", "unlinked", "io", "attributes", "small_files"]) {
        if (name === "attributes" && !lines.some((line) => line.includes("access-control"))) {
          continue;
        }
        const { code, err } = await run(["python3", CASES, name, path, path, "50"]);
        if (code) throw new Error(`${name}: ${err}`);
      }
    }));
}

e2e(
  "own volfiles: a graph that only reads refuses to write",
  [],
  () =>
    mounted([...brick("a"), "ro features/read-only read-only=on"], async (path) => {
      const { code, err } = await run(["touch", `${path}/f`]);
      equal(code, 1);
      ok(err.includes("Read-only file system"), err);
    }),
);

e2e(
  "own volfiles: a volume that nothing stands on, and a single copy, are said to who mounts",
  [],
  () =>
    mounted([...brick("a"), ...brick("b"), "r cluster/replicate < b"], async (path, said) => {
      const [aside, alone, ...more] = said.trim().split("\n");
      ok(/^Note: volume "a" \(line \d+\) is not mounted: /.test(aside!), said);
      ok(/^Note: volume "r" \(line \d+\) of type cluster\/replicate has one /.test(alone!), said);
      equal(more.length, 0);
      equal((await run(["sh", "-c", 'echo x > "$0"/f && cat "$0"/f', path])).out, "x\n");
    }),
);

e2e(
  "own volfiles: what cannot be mounted is refused in one line, by volume and line",
  [],
  async () => {
    const graphs: readonly (readonly [readonly Line[], RegExp])[] = [
      [
        ["a storage/posix directory=@a <", "r cluster/replicate < a a"],
        /line 6\): subvolume "a" is/,
      ],
      [
        ["a storage/posix directory=@a <", "r cluster/replicate < a"],
        /line 6\): nothing of type fea/,
      ],
      [["x performance/unheard-of < nope"], /line 1\): subvolume "nope" is not defined above it/],
      [["c protocol/client remote-host=127.0.0.1 remote-port=1 remote-subvolume=b <"], /c \(127/],
    ];
    for (const [lines, why] of graphs) {
      const refused = mounted(lines, () => Promise.reject(new Error("it was mounted")));
      await rejects(refused, ({ message }: Error) => {
        const [line, ...more] = message.trim().split("\n");
        return more.length === 0 && line!.startsWith("Cannot ") && why.test(line!);
      });
    }
  },
);
