import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { Refusal } from "mgmt/cli/managed.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeGet } from "mgmt/commands/volume_get.ts";
import { volumeReset } from "mgmt/commands/volume_reset.ts";
import { volumeSet } from "mgmt/commands/volume_set.ts";
import { volumeSetHelp, volumeSetHelpXml } from "mgmt/commands/volume_set_help.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import type { HookFacts } from "mgmt/hooks.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

const COMMANDS = [
  volumeCreate,
  volumeStart,
  volumeSet,
  volumeSetHelp,
  volumeSetHelpXml,
  volumeGet,
  volumeReset,
];

type Fake = ReturnType<typeof fakeCluster>;

interface At extends Fake {
  /** Words separated by blanks; answers what was printed, and the exit code. */
  run(
    line: string,
    form?: "text" | "xml",
  ): Promise<{ readonly text: string; readonly exitCode: number }>;
}

/** Volumes d1 (two bricks), r3 (three copies) and e1 (2 + 1 fragments). */
async function withVolumes(
  body: (at: At) => Promise<void>,
  parts: Parameters<typeof fakeCluster>[1] = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-option-" });
  try {
    const fake = fakeCluster(`${dir}/home`, parts);
    await Deno.mkdir(fake.cluster.places.logs, { recursive: true });
    const dispatcher = new Dispatcher(fake.cluster, COMMANDS);
    const run = async (line: string, form: "text" | "xml" = "text") => {
      const words = line.split(" ");
      const asked = { words, form, manner: "gluster", confirmed: true } as const;
      const { stdout, stderr, exitCode } = await dispatcher.run(asked);
      return { text: stdout + stderr, exitCode };
    };
    const bricks = (name: string, count: number) =>
      Array.from({ length: count }, (_, index) => `h:${dir}/${name}${index}`).join(" ");
    for (
      const [name, kind, count] of [["d1", "", 2], ["r3", "replica 3 ", 3], [
        "e1",
        "disperse 3 ",
        3,
      ]] as const
    ) {
      const made = await run(`volume create ${name} ${kind}${bricks(name, count)} force`);
      equal(made.exitCode, 0, made.text);
    }
    await body({ ...fake, run });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("volume set: options are stored with their families, and processes follow", () =>
  withVolumes(async ({ cluster, run, published }) => {
    const before = published.length;
    deepEqual(await run("volume set d1 cache-size 64MB user.note a"), {
      text: "volume set: success\n",
      exitCode: 0,
    });
    const { options } = await cluster.volume("d1");
    equal(options["performance.cache-size"], "64MB");
    equal(options["user.note"], "a");
    equal(published.length, before + 1);
    const xml = await run("volume set d1 performance.cache-size 32MB", "xml");
    match(xml.text, /<opRet>0<\/opRet>[^]*<cliOp>volSet<\/cliOp>\s*<output>Set volume successful</);
  }));

Deno.test("volume set: of several settings all are made, or none", () =>
  withVolumes(async ({ cluster, run, published }) => {
    const before = await cluster.volume("d1"), count = published.length;
    const { text, exitCode } = await run(
      "volume set d1 performance.cache-size 64MB performance.io-thread-count 100",
    );
    equal(
      text,
      "volume set: failed: '100' in 'option thread-count 100' is out of range [1 - 64]; " +
        "performance.io-thread-count takes 1 to 64\n",
    );
    equal(exitCode, 1);
    deepEqual(await cluster.volume("d1"), before);
    equal(published.length, count);
  }));

Deno.test("volume set: what cannot be says why, and changes nothing", () =>
  withVolumes(async ({ store, run }) => {
    const before = await store.list("");
    const refused: [string, RegExp][] = [
      ["none performance.cache-size 64MB", /failed: Volume none does not exist/],
      ["d1 nosuch.option on", /option : nosuch.option does not exist; "volume set help"/],
      ["d1 performance.cache-siz 1", /does not exist\nDid you mean performance.cache-size\?/],
      ["d1 performance.cache-size", /Usage:\nvolume set <VOLNAME>/],
      ["d1", /Usage:/],
      ["d1 group virt performance.cache-size 64MB", /Usage:/],
      ["d1 group nosuch", /Unable to open file '.*\/groups\/nosuch'/],
      ["d1 group virt", /Cannot set cluster.shd-max-threads for a non-replicate volume/],
      ["d1 cluster.data-self-heal on", /Cannot set .* for a non-replicate volume/],
      ["d1 cluster.self-heal-daemon off", /Volume d1 is not of replicate type/],
      ["r3 disperse.shd-max-threads 2", /Cannot set .* for a non-disperse volume/],
      ["r3 cluster.disperse-self-heal-daemon off", /Volume r3 is not of disperse type/],
      ["r3 cluster.quorum-count 4", /4 in cluster.quorum-count 4 is out of range \[1 - 3\]/],
      ["r3 cluster.quorum-count abc", /abc is not an integer/],
      ["e1 disperse.quorum-count 1", /out of range \[2 - 3\]/],
      ["d1 cluster.subvols-per-directory 3", /greater than the number of subvolumes\(2\)/],
      ["r3 cluster.lock-migration on", /pure distribute volume only/],
      ["r3 cluster.read-subvolume x", /'x' is not a valid volume name, such as r3-client-0/],
      ["d1 auth.allow 10.0.0.1,bad!host", /is not a valid internet-address-list/],
      ["d1 performance.cache-min-file-size 2MB performance.cache-max-file-size 1MB", /is greater/],
      ["d1 server.statedump-path /x", /can only be \/var\/run\/gluster: bricks write them where/],
      ["d1 cluster.server-quorum-ratio 60", /Not a valid option for single volume/],
      ["all performance.cache-size 64MB", /Not a valid option for all volumes/],
      ["all cluster.max-op-version 5", /Not a valid option to set/],
      ["all cluster.op-version 100000", /should not be equal or lower than current/],
      ["all cluster.op-version 999999", /Max supported op version is 100000/],
      ["d1 server.ssl on", /server.ssl can only be off: TLS is not supported/],
      ["d1 ssl.own-cert /x", /ssl.own-cert cannot be set: TLS is not supported/],
      ["d1 features.quota on", /can only be off: quotas are not supported/],
      ["d1 nfs.port 5", /cannot be set: the old NFS server is not supported/],
      ["d1 cluster.rsync-hash-regex `id`", /GlusterFS's programs would run what is between/],
      ["d1 user.a=b c", /option "user.a=b": no "=" in names/],
      ["d1 features.shard maybe", /'maybe' is not a valid boolean value/],
    ];
    for (const [words, why] of refused) {
      const { text, exitCode } = await run(`volume set ${words}`);
      match(text, why, words);
      equal(exitCode, 1, words);
    }
    deepEqual(await store.list(""), before);
    const xml = await run("volume set d1 nosuch.option on", "xml");
    match(xml.text, /<opRet>-1<\/opRet>\s*<opErrno>30800<\/opErrno>[^]*Set volume unsuccessful/);
    equal(xml.exitCode, 0);
  }));

Deno.test("volume set: defaults of what is not supported can be set", () =>
  withVolumes(async ({ run }) => {
    const line =
      "volume set d1 nfs.disable yes features.quota off server.ssl disable ganesha.enable no";
    equal((await run(line)).text, "volume set: success\n");
  }));

Deno.test("volume set: how names are healed is not changed once the volume was started", () =>
  withVolumes(async ({ run }) => {
    equal((await run("volume set r3 cluster.granular-entry-heal off")).exitCode, 0);
    equal((await run("volume start r3")).exitCode, 0);
    match((await run("volume set r3 cluster.granular-entry-heal on")).text, /is not supported/);
    match((await run("volume set r3 storage.linux-aio on")).text, /Please stop the volume first/);
  }));

Deno.test("volume set: a fixed quorum without a count is set, with a note", () =>
  withVolumes(async ({ run }) => {
    match(
      (await run("volume set r3 cluster.quorum-type fixed")).text,
      /no effect until cluster.qu/,
    );
    const both = "volume set r3 cluster.quorum-count 2 cluster.quorum-type fixed";
    equal((await run(both)).text, "volume set: success\n");
  }));

Deno.test("volume set: a group sets all that it names", () =>
  withVolumes(async ({ cluster, run }) => {
    equal((await run("volume set r3 group virt")).text, "volume set: success\n");
    const { options } = await cluster.volume("r3");
    equal(options["features.shard"], "on");
    equal(options["user.cifs"], "off");
  }));

Deno.test("volume set: options of all volumes are kept once, and every volume follows", () =>
  withVolumes(async ({ cluster, run, published }) => {
    const before = published.length;
    equal((await run("volume set all cluster.server-quorum-ratio 60")).exitCode, 0);
    deepEqual(await cluster.globalOptions(), { "cluster.server-quorum-ratio": "60" });
    equal(published.length, before + 3);
    match((await run("volume get d1 cluster.server-quorum-ratio")).text, / 60 {10}/);
    match((await run("volume get all all")).text, /^cluster.server-quorum-ratio {14}60 /m);
    equal((await run("volume reset all")).exitCode, 0);
    deepEqual(await cluster.globalOptions(), {});
    match((await run("volume get all all")).text, /server-quorum-ratio +51 \(DEFAULT\)/);
  }));

Deno.test("volume set: if volfiles cannot be made, what was set before is set again", async () => {
  let full = false;
  const publish = ({ options }: VolumeRecord) =>
    full && options["performance.cache-size"] === "64MB"
      ? Promise.reject(new Refusal("No space left on device"))
      : Promise.resolve();
  await withVolumes(async ({ cluster, run }) => {
    const { options } = await cluster.volume("d1");
    full = true;
    match((await run("volume set d1 performance.cache-size 64MB")).text, /failed: No space left/);
    deepEqual((await cluster.volume("d1")).options, options);
    full = false;
    await run("volume set d1 performance.cache-size 64MB");
    full = true;
    match((await run("volume set all cluster.server-quorum-ratio 60")).text, /No space left/);
    deepEqual(await cluster.globalOptions(), {});
  }, { publish });
});

Deno.test("volume get: values, kinds' defaults and options' defaults are told apart", () =>
  withVolumes(async ({ run }) => {
    equal(
      (await run("volume get d1 quorum-type")).text,
      "Option                                   Value                                  \n" +
        "------                                   -----                                  \n" +
        "cluster.quorum-type                      none (DEFAULT)                         \n",
    );
    match((await run("volume get r3 cluster.quorum-type")).text, /^cluster.quorum-type +auto +$/m);
    await run("volume set r3 cluster.quorum-type none");
    match(
      (await run("volume get r3 quorum-type", "xml")).text,
      /<Option>cluster.quorum-type<\/Option>\s*<Value>none<\/Value>/,
    );
    await run("volume set d1 user.note hello");
    match((await run("volume get d1 user.note")).text, /^user.note +hello +$/m);
    ok((await run("volume get d1 all")).text.split("\n").length > 300);
  }));

Deno.test("volume get: what there is not is said, in XML with its exit code", () =>
  withVolumes(async ({ run }) => {
    const { text, exitCode } = await run("volume get none all", "xml");
    match(text, /<opErrno>0<\/opErrno>[^]*<output>volume get option: failed: Volume none does not/);
    equal(exitCode, 1);
    match(
      (await run("volume get d1 user.note")).text,
      /^volume get option: failed: Option with name/,
    );
    match((await run("volume get all performance.cache-size")).text, /Not a valid option for all/);
  }));

Deno.test("volume reset: one option goes, all go, and what new volumes have comes back", () =>
  withVolumes(async ({ cluster, run }) => {
    await run("volume set r3 performance.cache-size 64MB user.note a nfs.disable on");
    equal(
      (await run("volume reset r3 cache-size")).text,
      "volume reset: success: reset volume successful\n",
    );
    let { options } = await cluster.volume("r3");
    equal(options["performance.cache-size"], undefined);
    equal(options["user.note"], "a");
    await run("volume reset r3");
    ({ options } = await cluster.volume("r3"));
    deepEqual(options, {
      "nfs.disable": "on",
      "transport.address-family": "inet",
      "storage.fips-mode-rchecksum": "on",
      "cluster.granular-entry-heal": "on",
    });
  }));

Deno.test("volume reset: protected options stay without force", () =>
  withVolumes(async ({ cluster, run }) => {
    await run("volume set d1 features.bitrot disable geo-replication.indexing off user.note a");
    match(
      (await run("volume reset d1 geo-replication.indexing")).text,
      /'geo-replication.indexing' is protected. To reset use 'force'/,
    );
    match((await run("volume reset d1")).text, /success: All unprotected fields were reset/);
    equal((await cluster.volume("d1")).options["geo-replication.indexing"], "off");
    equal((await run("volume reset d1 geo-replication.indexing force")).exitCode, 0);
    equal((await cluster.volume("d1")).options["geo-replication.indexing"], undefined);
  }));

Deno.test("volume set, volume reset: hooks run before and after, when a volume changes", async () => {
  const ran: string[] = [];
  const told = (phase: string) => (event: string, volume: string, facts: HookFacts) => {
    ran.push(`${event} ${phase} ${volume} ${JSON.stringify(facts.options)}`);
  };
  const hooks = {
    pre: (...args: Parameters<ReturnType<typeof told>>) => Promise.resolve(told("pre")(...args)),
    post: told("post"),
  };
  await withVolumes(async ({ run }) => {
    ran.length = 0;
    await run("volume set d1 user.note a performance.io-cache off");
    await run("volume reset d1 user.note");
    await run("volume set d1 no.such a");
    await run("volume set all cluster.server-quorum-ratio 51");
    const options = '{"user.note":"a","performance.io-cache":"off"}';
    deepEqual(ran, [
      `set pre d1 ${options}`,
      `set post d1 ${options}`,
      "reset pre d1 {}",
      "reset post d1 {}",
    ]);
  }, { hooks });
});

Deno.test("volume reset: unknown options and volumes change nothing", () =>
  withVolumes(async ({ run }) => {
    match(
      (await run("volume reset none")).text,
      /^volume reset: failed: Volume none does not exist/,
    );
    match(
      (await run("volume reset d1 performance.cache-siz")).text,
      /Option performance.cache-siz does not exist\nDid you mean/,
    );
    match(
      (await run("volume reset all performance.cache-size")).text,
      /Not a valid option for all/,
    );
    equal((await run("volume reset d1 performance.cache-size")).exitCode, 0);
  }));

Deno.test("volume set help: every option has its lines, in text and in XML", () =>
  withVolumes(async ({ run }) => {
    const { text } = await run("volume set help");
    match(text, /^Option: cluster.lookup-unhashed\nDefault Value: on\nDescription: .+\n\n/m);
    const { text: xml } = await run("volume set help-xml");
    match(
      xml,
      /^<\?xml [^]*<options>\s*<option>\s*<defaultValue>[^]*<name>cluster.lookup-unhashed</,
    );
    const count = text.match(/^Option: /gm)?.length;
    equal(xml.match(/<name>/g)?.length, count);
  }));

Deno.test("volume set: options that bricks follow only when started again are told while they run", () =>
  withVolumes(async ({ run }) => {
    equal((await run("volume set d1 features.ctime off")).text, "volume set: success\n");
    await run("volume start d1");
    equal((await run("volume set d1 storage.reserve 2")).text, "volume set: success\n");
    const note = /\nbricks of d1 that run follow (\S+) when they .*: "volume stop d1", then .*\n$/;
    const told = async (line: string) => note.exec((await run(line)).text)?.[1];
    equal(await told("volume set d1 features.acl off storage.reserve 3"), "features.acl");
    equal(await told("volume reset d1 features.acl"), "features.acl");
    equal(await told("volume reset d1 storage.reserve"), undefined);
  }));
