/** What a client says that means harm, or is broken; and clients that may not come in at all. */

import { assertEquals } from "@std/assert";
import { type BrickKind, Cluster, e2e, HOST, KIND } from "tests/e2e/harness.ts";
import { type Probe, probe, rawRole } from "tests/e2e/raw_roles_run.ts";
import { residentBytes, until } from "tests/e2e/process.ts";

const CLIENT = new URL("./hostile_client.ts", import.meta.url).pathname;
const EPERM = 1, EBADF = 9, EEXIST = 17, ENOTDIR = 20, EISDIR = 21, EINVAL = 22;
const EFBIG = 27, ENAMETOOLONG = 36, ENODATA = 61, ESTALE = 116;
const CLOSED = -1;
const GROWTH_MAX = 64 << 20;

/** Errno by request of a fresh brick of that kind. */
async function answers(kind: BrickKind): Promise<Record<string, number>> {
  await using cluster = await Cluster.start({ layout: "one", kinds: [kind] });
  const [brick] = cluster.bricks;
  const argv = [
    Deno.execPath(),
    "run",
    "--allow-net",
    CLIENT,
    HOST,
    String(brick!.port),
    brick!.path,
  ];
  const out = await cluster.must(kind === "ours" ? [...argv, "all"] : argv);
  if (!brick!.running) throw new Error(`The brick ended: ${brick!.lastWords}`);
  return JSON.parse(out);
}

/**
 * Where we answer otherwise than GlusterFS 10.3, on purpose: pattern, our errno, and why. Requests that
 * GlusterFS's brick does not survive are here too.
 */
const OTHERWISE: readonly (readonly [RegExp, number, string])[] = [
  [/^(unlink|rmdir|rename from).* of (256|5000) bytes$/, ENAMETOOLONG, "no such name can exist"],
  [/ of a name \.\.$|lookup.* \.\.$/, EINVAL, "never leads upwards"],
  [/^create of a name (\.|\.\.|that is empty)$/, EEXIST, "as the other creating fops"],
  [/ a name with NUL$/, EINVAL, "theirs cuts the name there and acts on another file"],
  [/ a name \.glusterfs$/, EPERM, "theirs looks into it first"],
  [/^create without a gfid$/, EPERM, "as the other creating fops"],
  [/^create with the gfid of a file$/, EEXIST, "theirs fails half-way"],
  [/^mkdir with the root's gfid$/, EPERM, "theirs makes a second root"],
  [/^(create|lookup) below a file$/, ENOTDIR, "what a kernel says"],
  [/^anonymous read of an unknown gfid$/, ESTALE, "as all other fops on it"],
  [/^anonymous read of a directory$/, EISDIR, "what a kernel says"],
  [/^readdirp with a file's fd$/, EBADF, "it is no directory's"],
  [/^read at 2\^63 - /, 0, "nothing is there: the end of the file"],
  [/^write at 2\^63 - 1$/, EFBIG, "as one byte before"],
  [/^setxattr with a name of 5000 bytes$/, CLOSED, "longer than any dictionary's key"],
  [/^setxattr of the (gfid|volume's id)$/, EPERM, "theirs lets a client break the brick"],
  [/^getxattr trusted\.gfid$/, ENODATA, "ours to keep"],
  [/^xattrop of odd size$/, EINVAL, "not an array of numbers"],
  [/^lk of a strange type$/, EINVAL, "ends their process"],
];

e2e("hostile: every senseless request gets the errno that glusterfsd gives", [], async () => {
  const [theirs, ours] = [await answers("glusterfsd"), await answers(KIND)];
  const wrong: string[] = [];
  for (const [request, errno] of Object.entries(ours)) {
    if (errno === theirs[request]) continue;
    const rule = OTHERWISE.find(([pattern, ourErrno]) =>
      pattern.test(request) && ourErrno === errno
    );
    if (!rule) wrong.push(`${request}: ${errno} instead of ${theirs[request]}`);
  }
  assertEquals(wrong, []);
  assertEquals(Object.keys(theirs).filter((request) => !(request in ours)), []);
  if (Object.keys(ours).length < 200) throw new Error("Too few requests were answered");
  assertEquals(ours["stat of the root after all that"], 0);
});

/** Largest resident size of the brick while `work` runs, in bytes above what it was. */
async function growth(cluster: Cluster, work: () => Promise<void>): Promise<number> {
  const { pid } = cluster.bricks[0]!;
  const before = residentBytes(pid);
  let largest = before;
  const timer = setInterval(() => largest = Math.max(largest, residentBytes(pid)), 50);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(0, largest - before);
}

for (
  const [role, what] of [
    ["deaf", "a client that asks for 1 GiB and reads nothing"],
    ["boaster", "a client that announces a record of 1 GiB"],
    ["hoarder", "a client that opens 50,000 files and connections"],
  ] as const
) {
  e2e(`hostile: ${what} does not make the brick grow nor others wait`, [], async () => {
    await using cluster = await Cluster.start({ layout: "one" });
    // Once before the measurement, so that what is allocated once is there.
    await probe(cluster, 1);
    let figures: Probe | undefined;
    const client = rawRole(cluster, role);
    const grown = await growth(cluster, async () => {
      await until("the client does its worst", () => /^at it$/m.test(client.lastWords()));
      figures = await probe(cluster, 4);
    });
    await client.end("SIGKILL");
    if (!cluster.bricks[0]!.running) throw new Error(cluster.bricks[0]!.lastWords);
    if (grown > GROWTH_MAX) throw new Error(`The brick grew by ${grown >> 20} MiB`);
    if (figures!.p50 > 20) throw new Error(`Others wait: ${JSON.stringify(figures)}`);
  });
}
