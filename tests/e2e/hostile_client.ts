/**
 * hostile_client.ts HOST PORT BRICK [all]: sends what no decent client would to a fresh brick, and prints one
 * JSON object: for each request what the brick answered, an errno, 0 for success, -1 for a
 * connection closed. Run on two bricks it tells how they differ. With `all` it also sends what ends a
 * glusterfsd 10.3.
 */

import { bytes, gfid, PROC, put, RawClient, ROOT } from "tests/e2e/raw_client.ts";

const [host, port, brick, all] = Deno.args as [string, string, string, string?];
const results: Record<string, number> = {};
let client = await RawClient.connect(host, Number(port), brick);

const FILE = gfid(10), DIRECTORY = gfid(11), NOBODY = gfid(99);
const ANONYMOUS = -2n;
let unused = 100;

async function ask(
  what: string,
  proc: number,
  args: Parameters<RawClient["fop"]>[1],
): Promise<void> {
  if (client.closed) client = await RawClient.connect(host, Number(port), brick);
  results[what] = (await client.fop(proc, args)).errno;
}

/** As `ask`, for what GlusterFS's own brick does not survive. */
async function askTheSturdy(...what: Parameters<typeof ask>): Promise<void> {
  if (all === "all") await ask(...what);
}

async function open(on: RawClient, own: Uint8Array): Promise<bigint> {
  const { errno, body } = await on.fop(PROC.open, put.open(own, 2));
  if (errno) throw new Error(`Cannot open: errno ${errno}`);
  const dictSize = body.u32();
  body.skip(8 + dictSize);
  return body.i64();
}

async function names(): Promise<void> {
  const odd: Record<string, string> = {
    "of 256 bytes": "n".repeat(256),
    "of 5000 bytes": "n".repeat(5000),
    "with a slash": "a/b",
    "beginning with a slash": "/etc",
    "..": "..",
    ".": ".",
    "../../x": "../../x",
    "that is empty": "",
    "with NUL": "a\0b",
    ".glusterfs": ".glusterfs",
    ".glusterfs/00": ".glusterfs/00",
  };
  for (const [kind, name] of Object.entries(odd)) {
    // Whatever the last round moved or removed is there again.
    await client.fop(PROC.mknod, put.mknod(ROOT, "other", gfid(unused++)));
    const own = () => gfid(unused++);
    await ask(`lookup of a name ${kind}`, PROC.lookup, put.lookup(ROOT, name));
    await ask(`create of a name ${kind}`, PROC.create, put.create(ROOT, name, own()));
    await ask(`mkdir of a name ${kind}`, PROC.mkdir, put.mkdir(ROOT, name, own()));
    await ask(`mknod of a name ${kind}`, PROC.mknod, put.mknod(ROOT, name, own()));
    await ask(`symlink of a name ${kind}`, PROC.symlink, put.symlink(ROOT, name, "t", own()));
    await ask(`link to a name ${kind}`, PROC.link, put.link(FILE, ROOT, name));
    await ask(`rename to a name ${kind}`, PROC.rename, put.rename(ROOT, "other", ROOT, name));
    await ask(`rename from a name ${kind}`, PROC.rename, put.rename(ROOT, name, ROOT, "third"));
    await ask(`unlink of a name ${kind}`, PROC.unlink, put.unlink(ROOT, name));
    await ask(`rmdir of a name ${kind}`, PROC.rmdir, put.rmdir(ROOT, name));
  }
  await ask("create without a gfid", PROC.create, put.create(ROOT, "bare"));
  await ask("create with the gfid of a file", PROC.create, put.create(ROOT, "double", FILE));
  await ask("mkdir with the root's gfid", PROC.mkdir, put.mkdir(ROOT, "root2", ROOT));
  await ask("create below a file", PROC.create, put.create(FILE, "below", gfid(unused++)));
  await ask("lookup below a file", PROC.lookup, put.lookup(FILE, "below"));
  await ask(
    "symlink with a target of 5000 bytes",
    PROC.symlink,
    put.symlink(ROOT, "long", "t".repeat(5000), gfid(unused++)),
  );
}

async function strangers(): Promise<void> {
  await ask("stat of an unknown gfid", PROC.stat, put.self(NOBODY));
  await ask("lookup of an unknown gfid", PROC.lookup, put.lookup(new Uint8Array(16), "", NOBODY));
  await ask("lookup of no gfid at all", PROC.lookup, put.lookup(new Uint8Array(16), ""));
  await ask("open of an unknown gfid", PROC.open, put.open(NOBODY, 2));
  await ask("open of a directory", PROC.open, put.open(DIRECTORY, 2));
  await ask("opendir of an unknown gfid", PROC.opendir, put.self(NOBODY));
  await ask("opendir of a file", PROC.opendir, put.self(FILE));
  await ask("truncate of an unknown gfid", PROC.truncate, put.truncate(NOBODY, 1n));
  await ask("getxattr of an unknown gfid", PROC.getxattr, put.getxattr(NOBODY, "user.x"));
  await ask("create below an unknown gfid", PROC.create, put.create(NOBODY, "x", gfid(unused++)));
  await ask("lookup below an unknown gfid", PROC.lookup, put.lookup(NOBODY, "x"));
  await ask("unlink below an unknown gfid", PROC.unlink, put.unlink(NOBODY, "x"));
  await ask("link from an unknown gfid", PROC.link, put.link(NOBODY, ROOT, "x"));
  await ask("link of a directory", PROC.link, put.link(DIRECTORY, ROOT, "dirlink"));
  await ask("rename into an unknown gfid", PROC.rename, put.rename(ROOT, "other", NOBODY, "x"));
  await ask("anonymous read of an unknown gfid", PROC.read, put.read(NOBODY, ANONYMOUS, 0n, 10));
  await ask("anonymous read of a directory", PROC.read, put.read(DIRECTORY, ANONYMOUS, 0n, 10));
}

async function fds(): Promise<void> {
  const other = await RawClient.connect(host, Number(port), brick);
  // Both connections number their fds from the same start: the other one's must be beyond ours.
  for (let i = 0; i < 5; i++) await open(other, FILE);
  const theirs = await open(other, FILE);
  const data = bytes("data");
  for (
    const [kind, fd] of [["another's", theirs], ["an unknown", 4_000_000n], [
      "a negative",
      -7n,
    ]] as const
  ) {
    await ask(`read with ${kind} fd`, PROC.read, put.read(FILE, fd, 0n, 10));
    await ask(`write with ${kind} fd`, PROC.write, put.write(FILE, fd, 0n, data));
    await ask(`fstat with ${kind} fd`, PROC.fstat, put.fd(FILE, fd));
    await ask(`flush with ${kind} fd`, PROC.flush, put.fd(FILE, fd));
    await ask(`ftruncate with ${kind} fd`, PROC.ftruncate, put.ftruncate(FILE, fd, 0n));
    await ask(`lk with ${kind} fd`, PROC.lk, put.lk(FILE, fd, 1, 0n, 1n));
    await ask(`readdirp with ${kind} fd`, PROC.readdirp, put.readdirp(DIRECTORY, fd, 0n, 4096));
  }
  const mine = await open(client, FILE);
  await ask("readdirp with a file's fd", PROC.readdirp, put.readdirp(FILE, mine, 0n, 4096));
  await ask("release", PROC.release, put.fd(FILE, mine));
  await ask("read after release", PROC.read, put.read(FILE, mine, 0n, 10));
  other.close();
}

async function offsets(): Promise<void> {
  const fd = await open(client, FILE);
  const edges = { "2^63 - 1": 2n ** 63n - 1n, "2^63": 2n ** 63n, "2^64 - 1": 2n ** 64n - 1n };
  for (
    const [edge, at] of Object.entries({
      "2^53": 2n ** 53n,
      "2^63 - 4096": 2n ** 63n - 4096n,
      ...edges,
    })
  ) {
    await ask(`read at ${edge}`, PROC.read, put.read(FILE, fd, at, 4096));
    await ask(`write at ${edge}`, PROC.write, put.write(FILE, fd, at, bytes("x".repeat(8))));
    await ask(`ftruncate to ${edge}`, PROC.ftruncate, put.ftruncate(FILE, fd, at));
    await ask(`fallocate at ${edge}`, PROC.fallocate, put.fallocate(FILE, fd, at, 4096n));
    await ask(`fallocate of ${edge}`, PROC.fallocate, put.fallocate(FILE, fd, 0n, at));
    await ask(`discard at ${edge}`, PROC.discard, put.range(FILE, fd, at, 4096n));
    await ask(`zerofill at ${edge}`, PROC.zerofill, put.range(FILE, fd, at, 4096n));
    await ask(`seek from ${edge}`, PROC.seek, put.seek(FILE, fd, at, 0));
    await ask(`lk from ${edge}`, PROC.lk, put.lk(FILE, fd, 1, at, 0n));
  }
  await ask("seek for nonsense", PROC.seek, put.seek(FILE, fd, 0n, 77));
  await ask("fallocate of nothing", PROC.fallocate, put.fallocate(FILE, fd, 0n, 0n));
  await askTheSturdy("lk of a strange type", PROC.lk, put.lk(FILE, fd, 77, 0n, 1n));
}

async function xattrs(): Promise<void> {
  const set = (what: string, name: string, size: number) =>
    ask(`setxattr ${what}`, PROC.setxattr, put.setxattr(FILE, name, new Uint8Array(size).fill(65)));
  await set("of 64 KiB", "user.large", 65536);
  await set("of 64 KiB and a byte", "user.large", 65537);
  await set("of 200 KiB", "user.large", 200_000);
  await set("with a name of 255 bytes", "user." + "n".repeat(250), 1);
  await set("with a name of 256 bytes", "user." + "n".repeat(251), 1);
  await set("with a name of 5000 bytes", "user." + "n".repeat(4995), 1);
  await set("outside of all name spaces", "nonsense", 1);
  await set("of the gfid", "trusted.gfid", 16);
  await set("of a path to the gfid", "trusted.gfid2path.0011223344556677", 40);
  await set("of the volume's id", "trusted.glusterfs.volume-id", 16);
  await set("of an ACL that is none", "system.posix_acl_access", 7);
  for (
    const name of [
      "user.none",
      "nonsense",
      "user." + "n".repeat(251),
      "trusted.gfid",
      "glusterfs.nonsense",
    ]
  ) {
    const short = name.slice(0, 24);
    await ask(`getxattr ${short}`, PROC.getxattr, put.getxattr(FILE, name));
    await ask(`removexattr ${short}`, PROC.removexattr, put.removexattr(FILE, name));
  }
  await ask(
    "setxattr that must create",
    PROC.setxattr,
    put.setxattr(FILE, "user.a", bytes("1"), 1),
  );
  await ask(
    "setxattr that must create again",
    PROC.setxattr,
    put.setxattr(FILE, "user.a", bytes("1"), 1),
  );
  await ask(
    "setxattr that must replace",
    PROC.setxattr,
    put.setxattr(FILE, "user.b", bytes("1"), 2),
  );
  await ask(
    "xattrop of odd size",
    PROC.xattrop,
    put.xattrop(FILE, "trusted.afr.vol-client-0", bytes("12345")),
  );
  await ask(
    "xattrop of a strange kind",
    PROC.xattrop,
    put.xattrop(FILE, "trusted.x", bytes("1234"), 77),
  );
  await ask(
    "xattrop of 64 KiB and more",
    PROC.xattrop,
    put.xattrop(FILE, "trusted.afr.vol-client-0", new Uint8Array(70_000).fill(1)),
  );
}

await ask("mkdir", PROC.mkdir, put.mkdir(ROOT, "directory", DIRECTORY));
await ask("mknod", PROC.mknod, put.mknod(ROOT, "file", FILE));
await ask("mknod of another", PROC.mknod, put.mknod(ROOT, "other", gfid(12)));
await names();
await strangers();
await fds();
await offsets();
await xattrs();
await ask("stat of the root after all that", PROC.stat, put.self(ROOT));
await ask("lookup of the file after all that", PROC.lookup, put.lookup(ROOT, "file"));
client.close();
// deno-lint-ignore no-console -- a command's output
console.log(JSON.stringify(results, null, 1));
