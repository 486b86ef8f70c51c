/** `mortar nbd` as its clients see it: libnbd, QEMU and fio, on a replicated volume. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { certify } from "tests/fakes/certificates.ts";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { must, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** How fio's logs name a write, and what its blocks begin with. */
const WRITE = 1, FIO_MAGIC = 0xacca;
const MIB = 2 ** 20, DISK_BYTES = 64 * MIB;
/** What the image is that goes in and out: sparse, so that holes count. */
const COPIED_BYTES = Deno.env.get("MORTAR_LONG") ? 4096 * MIB : 256 * MIB;

/** A volume of two copies with an empty disk in it, and its server. */
class Served implements AsyncDisposable {
  #server: DaemonProcess | undefined;

  private constructor(readonly node: ManagedNode) {}

  static async start(...exports: string[]): Promise<Served> {
    const node = await ManagedNode.start();
    const served = new Served(node);
    try {
      await node.volume("v", 2, "replica 2");
      const empty = `${node.dir}/empty`;
      await must(["truncate", "-s", String(DISK_BYTES), empty]);
      await served.file("put", empty, served.at("disk"));
      await served.serve(...exports);
      return served;
    } catch (error) {
      await served[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs `mortar file …`. */
  async file(...words: string[]): Promise<void> {
    const argv = this.node.space.inside([MORTAR, "file", ...words]);
    await must(argv, { env: { DENO: Deno.execPath() } });
  }

  at(path: string): string {
    return `${NODE_HOST}:v/${path}`;
  }

  get socket(): string {
    return `${this.node.dir}/nbd.sock`;
  }

  uri(name = "disk"): string {
    return `nbd+unix:///${name}?socket=${this.socket}`;
  }

  /** Starts a server for these exports besides the disk; words with dashes are its own. */
  async serve(...more: string[]): Promise<void> {
    const options = more.filter((each) => each.startsWith("--"));
    const exports = [`disk=${this.at("disk")}`, ...more.filter((each) => !options.includes(each))];
    const words = exports.flatMap((each) => ["--export", each]);
    const argv = ["nbd", "--socket", this.socket, ...options, ...words];
    this.#server = new DaemonProcess(argv, {}, (words) => this.node.space.inside(words));
    await this.#server.said(/ serving /);
  }

  /** Ends the server at once. */
  async kill(): Promise<void> {
    const { pid } = this.#server!;
    const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
    for (const child of [pid, ...children.trim().split(" ").filter(Boolean).map(Number)]) {
      Deno.kill(child, "SIGKILL");
    }
    await this.#server![Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    await this.node[Symbol.asyncDispose]();
  }
}

e2e("mortar nbd: libnbd finds what the disk is and can do", ["nbdinfo"], async () => {
  await using served = await Served.start();
  const { exports } = JSON.parse(await must(["nbdinfo", "--json", "--list", served.uri("")]));
  const [{ "export-name": name, "export-size": size, ...can }] = exports;
  deepEqual([name, size], ["disk", DISK_BYTES]);
  deepEqual(
    [can.can_flush, can.can_fua, can.can_trim, can.can_zero, can.can_multi_conn, can.is_read_only],
    [true, true, true, true, true, false],
  );
  deepEqual(can.contexts, ["base:allocation"]);
  const none = await run(["nbdinfo", served.uri("nothing")]);
  ok(none.code !== 0);
  match(none.err, /export: nothing/);
});

e2e("mortar nbd: QEMU writes, makes zeros and trims, and finds it in the volume", [
  "qemu-io",
  "qemu-img",
], async () => {
  await using served = await Served.start();
  const commands = [
    ...["write -P 5 64k 1M", "write -P 6 -f 4M 4k", "write -z 128k 64k", "write -z -u 8M 1M"],
    ...["discard 4M 4k", "read -P 5 64k 64k", "read -P 0 128k 64k", "read -P 5 192k 896k"],
    ...["read -P 0 4M 4k", "write -P 9 20M 2M", "flush", "read -P 9 20M 2M"],
  ].flatMap((command) => ["-c", command]);
  const out = await must(["qemu-io", "-f", "raw", ...commands, served.uri()]);
  ok(!/Pattern verification failed/.test(out), out);
  const mapped = JSON.parse(
    await must(["qemu-img", "map", "-f", "raw", "--output=json", served.uri()]),
  );
  ok(mapped.some(({ data, start }: { data: boolean; start: number }) => !data && start > 0));
  const copy = `${served.node.dir}/copy`;
  await served.file("get", served.at("disk"), copy);
  await must(["qemu-img", "compare", "-f", "raw", "-F", "raw", copy, served.uri()]);
});

e2e("mortar nbd: fio verifies what it wrote, one and sixteen at a time", ["fio"], async () => {
  await using served = await Served.start();
  for (const [depth, size] of [[1, "4k"], [16, "4k"], [4, "1m"]] as const) {
    const bytes = size === "4k" ? "4m" : "32m";
    await must([
      ...["fio", "--name=nbd", "--ioengine=nbd", `--uri=${served.uri()}`, "--rw=randwrite"],
      ...[`--bs=${size}`, `--iodepth=${depth}`, `--size=${bytes}`, "--verify=crc32c"],
      "--verify_state_save=0",
    ]);
  }
});

e2e("mortar nbd: nbdcopy brings a sparse image in and out, holes kept", ["nbdcopy"], async () => {
  await using served = await Served.start();
  const { dir } = served.node, image = `${dir}/image`, back = `${dir}/back`;
  await must(["truncate", "-s", String(COPIED_BYTES), image]);
  for (const at of [0, 37, 133, COPIED_BYTES / MIB - 3]) {
    await must([
      "dd",
      "if=/dev/urandom",
      `of=${image}`,
      "bs=1M",
      "count=3",
      `seek=${at}`,
      "conv=notrunc",
    ]);
  }
  const sparse = `${dir}/sparse`;
  await must(["truncate", "-s", String(COPIED_BYTES), sparse]);
  await served.file("put", sparse, served.at("sparse"));
  await served.kill();
  await served.serve(`image=${served.at("sparse")}`);
  await must(["nbdcopy", "--destination-is-zero", image, served.uri("image")]);
  await must(["nbdcopy", served.uri("image"), back]);
  await must(["cmp", image, back]);
  const blocks = async (path: string) => (await Deno.stat(path)).blocks! * 512;
  ok(await blocks(back) < 32 * MIB, `${await blocks(back)} bytes for 12 MiB of data`);
  for (const { path } of await served.node.bricks("v")) {
    ok(await blocks(`${path}/sparse`) < 32 * MIB, `${path}: ${await blocks(`${path}/sparse`)}`);
  }
});

e2e("mortar nbd: what was answered with forced unit access is there after kill -9", [
  "qemu-io",
], async () => {
  await using served = await Served.start();
  const writes = Array.from(
    { length: 50 },
    (_, at) => ["-c", `write -f -P ${at + 1} ${at * 64}k 4k`],
  );
  await must(["qemu-io", "-f", "raw", ...writes.flat(), served.uri()]);
  await served.kill();
  await served.serve();
  const reads = Array.from({ length: 50 }, (_, at) => ["-c", `read -P ${at + 1} ${at * 64}k 4k`]);
  const out = await must(["qemu-io", "-f", "raw", "-r", ...reads.flat(), served.uri()]);
  ok(!/Pattern verification failed/.test(out), out);
});

e2e("mortar nbd: what fio was answered until kill -9 is there afterwards", ["fio"], async () => {
  await using served = await Served.start();
  const { dir } = served.node;
  // fio's own verification cannot tell what was answered out of order: its log can.
  const writing = run([
    ...["fio", "--name=nbd", "--ioengine=nbd", `--uri=${served.uri()}`, "--rw=randwrite"],
    ...["--bs=4k", "--iodepth=16", `--size=${DISK_BYTES}`, "--fsync=1", "--verify=crc32c"],
    ...[
      "--do_verify=0",
      "--verify_state_save=0",
      `--write_lat_log=${dir}/answered`,
      "--log_offset=1",
    ],
  ]);
  const holds = `${(await served.node.bricks("v"))[0]!.path}/disk`;
  await until(
    "it writes",
    async () => (await Deno.stat(holds)).blocks! * 512 > 2 * MIB,
  );
  await served.kill();
  ok((await writing).code !== 0, "it was to be killed under load");
  await served.serve();
  const got = `${dir}/got`;
  await must(["nbdcopy", served.uri(), got]);
  const answered = (await Deno.readTextFile(`${dir}/answered_clat.1.log`)).trim().split("\n")
    .map((line) => line.split(",").map(Number))
    .filter(([, , direction]) => direction === WRITE);
  ok(answered.length > 100, `${answered.length} blocks were answered`);
  const bytes = await Deno.readFile(got), view = new DataView(bytes.buffer);
  // fio writes into each block which one it is: `struct verify_header`.
  const lost = answered.map(([, , , , offset]) => offset!).filter((offset) =>
    view.getUint16(offset, true) !== FIO_MAGIC ||
    view.getBigUint64(offset + 16, true) !== BigInt(offset)
  );
  deepEqual(lost, []);
});

e2e("mortar nbd: a client that connects again goes on after kill -9", ["qemu-img"], async () => {
  await using served = await Served.start();
  const source = `${served.node.dir}/source`;
  await must(["dd", "if=/dev/urandom", `of=${source}`, "bs=1M", `count=${DISK_BYTES / MIB}`]);
  const server = { type: "unix", path: served.socket };
  const target = { driver: "nbd", server, export: "disk", "reconnect-delay": 60 };
  const copying = run([
    ...["qemu-img", "convert", "-n", "-f", "raw", "-W", "-r", "16M", "--target-image-opts", source],
    Object.entries({
      ...target,
      server: undefined,
      "server.type": "unix",
      "server.path": served.socket,
    })
      .filter(([, value]) => value !== undefined).map(([key, value]) => `${key}=${value}`).join(
        ",",
      ),
  ]);
  const holds = `${(await served.node.bricks("v"))[0]!.path}/disk`;
  await until(
    "the copy is under way",
    async () => (await Deno.stat(holds)).blocks! * 512 > 4 * MIB,
  );
  await served.kill();
  await served.serve();
  const { code, err } = await copying;
  equal(code, 0, err);
  await must(["qemu-img", "compare", "-f", "raw", "-F", "raw", source, served.uri()]);
});

e2e(
  "mortar nbd: a disk as it was in a snapshot, beside the disk as it is",
  ["qemu-io"],
  async () => {
    await using served = await Served.start();
    const { node } = served;
    const io = (uri: string, ...commands: string[]) =>
      run(["qemu-io", "-f", "raw", ...commands.flatMap((command) => ["-c", command]), uri]);
    equal((await io(served.uri(), "write -P 1 0 1M")).code, 0);
    await node.must("snapshot create before v no-timestamp");
    await node.must("snapshot activate before");
    equal((await io(served.uri(), "write -P 2 512k 1M")).code, 0);
    await served.kill();
    await served.serve(`old=${served.at("disk")}@before`);
    const old = await io(served.uri("old"), "read -P 1 0 1M", "read -P 0 1M 512k");
    ok(old.code !== 0, "a read-only export cannot be opened for writing");
    const reads = ["-r", "-f", "raw", "-c", "read -P 1 0 1M", "-c", "read -P 0 1M 512k"];
    const found = await must(["qemu-io", ...reads, served.uri("old")]);
    ok(!/Pattern verification failed/.test(found), found);
    const now = await io(served.uri(), "read -P 1 0 512k", "read -P 2 512k 1M");
    ok(now.code === 0 && !/Pattern verification failed/.test(now.out), now.out);
  },
);

e2e(
  "mortar nbd: what changed since a snapshot is told to backup programs, of now and of snapshots",
  [
    "nbdinfo",
    "qemu-img",
    "qemu-io",
  ],
  async () => {
    await using served = await Served.start();
    const { node } = served;
    const write = (...writes: string[]) =>
      must(["qemu-io", "-f", "raw", ...writes.flatMap((each) => ["-c", each]), served.uri()]);
    const taken = async (name: string) => {
      await node.must(`snapshot create ${name} v no-timestamp`);
      await node.must(`snapshot activate ${name}`);
    };
    await write("write -P 1 0 8M");
    await taken("first");
    await write("write -P 2 1M 64k", "write -P 2 5M 4k");
    await taken("second");
    await write("write -z -u 2M 64k", "write -P 3 60M 8k");
    await served.kill();
    await served.serve(`second=${served.at("disk")}@second`);
    type Run = { offset: number; length: number; type: number };
    const changed = async (uri: string, context: string) => {
      const map: Run[] = JSON.parse(await must(["nbdinfo", "--json", `--map=${context}`, uri]));
      equal(map.reduce((sum, { length }) => sum + length, 0), DISK_BYTES);
      return map.filter(({ type }) => type & 1).map(({ offset, length }) => [offset, length]);
    };
    const [one, two] = [[[MIB, 65_536], [5 * MIB, 4096]], [[2 * MIB, 65_536], [60 * MIB, 8192]]];
    deepEqual(await changed(served.uri(), "qemu:dirty-bitmap:second"), two);
    deepEqual(
      await changed(served.uri(), "mortar:changed-since:first"),
      [one[0], two[0], one[1], two[1]],
    );
    deepEqual(await changed(served.uri("second"), "qemu:dirty-bitmap:first"), one);
    const [{ contexts }] = JSON.parse(
      await must(["nbdinfo", "--json", "--list", served.uri("second")]),
    ).exports
      .filter((each: { "export-name": string }) => each["export-name"] === "second");
    deepEqual(contexts, [
      "base:allocation",
      "mortar:changed-since:first",
      "qemu:dirty-bitmap:first",
    ]);
    const image = [
      "driver=nbd",
      "server.type=unix",
      `server.path=${served.socket}`,
      "export=second",
    ];
    const since = [...image, "x-dirty-bitmap=qemu:dirty-bitmap:first"].join(",");
    const map = JSON.parse(await must(["qemu-img", "map", "--output=json", "--image-opts", since]));
    type Mapped = { start: number; length: number; data: boolean };
    deepEqual(
      map.filter(({ data }: Mapped) => !data).map(({ start, length }: Mapped) => [start, length]),
      one,
    );
  },
);

e2e("volume nbd: what the daemon was told to serve is there, whatever dies, until it is removed", [
  "nbdinfo",
  "qemu-io",
], async () => {
  await using served = await Served.start();
  const { node } = served;
  await served.file("put", `${node.dir}/empty`, served.at("other"));
  match(await node.must("volume nbd v list"), /^No exports/);
  const added = await node.must("volume nbd v add first disk");
  const uri = (name: string) => `nbd+unix:///${name}?socket=${node.run}/nbd.socket`;
  equal(added, `volume nbd: success: first is served\n${uri("first")}\n`);
  await must(["qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", uri("first")]);
  await node.must("snapshot create before v no-timestamp");
  await node.must("snapshot activate before");
  await must(["qemu-io", "-f", "raw", "-c", "write -P 8 0 1M", uri("first")]);
  // Whoever is connected does not notice that there is more.
  const staying = new Process(["nbdcopy", uri("first"), "-"], `${node.dir}/staying`);
  await node.must("volume nbd v add old /disk snapshot before");
  await node.must("volume nbd v add guarded /other read-only");
  const read = ["qemu-io", "-r", "-f", "raw", "-c", "read -P 7 0 1M", uri("old")];
  ok(!/Pattern verification failed/.test(await must(read)));
  for (const name of ["old", "guarded"]) {
    equal(JSON.parse(await must(["nbdinfo", "--json", uri(name)])).exports[0].is_read_only, true);
  }
  const { exports, online } = JSON.parse(await node.must("--json volume nbd v list")).value;
  deepEqual(exports.map(({ name }: { name: string }) => name), ["first", "guarded", "old"]);
  equal(online, true);
  equal((await node.try("volume nbd v add first other")).code, 1);
  equal((await node.try("volume nbd v add none nowhere")).code, 1);
  await until("what was read before goes on", () => !staying.running);

  await node.endDaemon();
  const pid = Number(await Deno.readTextFile(`${node.run}/nbd.pid`));
  await must(["nbdinfo", uri("first")]);
  await node.startDaemon();
  equal(Number(await Deno.readTextFile(`${node.run}/nbd.pid`)), pid);
  Deno.kill(pid, "SIGKILL");
  await until(
    "the server is there again",
    async () => (await run(["nbdinfo", uri("old")])).code === 0,
  );

  await node.must("volume nbd v remove guarded");
  ok((await run(["nbdinfo", uri("guarded")])).code !== 0);
  await must(["nbdinfo", uri("first")]);
  await node.must("volume nbd v remove first");
  await node.must("volume nbd v remove old");
  await until("no server runs", () => run(["nbdinfo", uri("old")]).then(({ code }) => code !== 0));
  equal(await Deno.stat(`${node.run}/nbd.pid`).catch(() => undefined), undefined);
});

e2e("mortar nbd: whoever has a certificate of ours is served over TLS, nobody else", [
  "nbdinfo",
  "nbdcopy",
  "qemu-img",
  "openssl",
], async () => {
  await using served = await Served.start();
  const [ours, others] = ["ours", "others"].map((name) => `${served.node.dir}/${name}`);
  for (const directory of [ours!, others!]) {
    await Deno.mkdir(directory);
    certify(directory);
  }
  await Deno.copyFile(`${ours}/ca-cert.pem`, `${others}/ca-cert.pem`);
  await served.kill();
  await served.serve(`--tls-certificates=${ours}`);
  const uri = (directory: string) =>
    `nbds+unix://localhost/disk?socket=${served.socket}&tls-certificates=${directory}`;
  match(await must(["nbdinfo", uri(ours!)]), /newstyle-fixed with TLS/);
  const source = `${served.node.dir}/source`, back = `${served.node.dir}/back`;
  await must(["dd", "if=/dev/urandom", `of=${source}`, "bs=1M", `count=${DISK_BYTES / MIB}`]);
  await must(["nbdcopy", source, uri(ours!)]);
  await must(["nbdcopy", uri(ours!), back]);
  await must(["cmp", source, back]);
  const credentials = ["--object", `tls-creds-x509,id=t,dir=${ours},endpoint=client`];
  const image = ["driver=nbd", "server.type=unix", `server.path=${served.socket}`, "export=disk"];
  const secure = [...image, "tls-creds=t", "tls-hostname=localhost"].join(",");
  await must(["qemu-img", "info", ...credentials, "--image-opts", secure]);
  for (const stranger of [uri(others!), served.uri()]) {
    ok((await run(["nbdinfo", stranger])).code !== 0, stranger);
  }
});

Deno.test("mortar nbd: what cannot be served is named in one line", async () => {
  const tries: [number, RegExp, ...string[]][] = [
    [2, /give --export/],
    [2, /expected NAME=HOST/, "--export", "x"],
    [2, /expected the path of a file/, "--export", "x=h:v"],
    [2, /"x" twice/, "--export", "x=h:v/a", "--export", "x=h:v/b"],
    [2, /expected HOST/, "--export", "x=h:v/a", "--socket", "/tmp/x", "--listen", "::"],
    [1, /nothing listens there/, "--export", "x=127.0.0.1:1:v/a"],
    [2, /give --tls-certificates/, "--export", "x=h:v/a", "--tls-any-client"],
  ];
  for (const [code, line, ...words] of tries) {
    const found = await mortar("nbd", ...words);
    equal(found.code, code, found.err);
    match(found.err, line);
    equal(found.err.trimEnd().split("\n").length, 1, found.err);
  }
});
