/** dist/mortar where it carries its Deno: what it unpacks, where, and what it refuses to run. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { VERSION } from "mgmt/version.ts";
import { exists, type Finished, must, run } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const STARTED = `mortar ${VERSION} (self-extracting, Deno ${Deno.version.deno})\n`;
const NOBODY = 65534;

/** Why these tests cannot run; "" if they can. */
async function cannotRun(): Promise<string> {
  if (Deno.uid() !== 0) return "needs root";
  const { out } = await run(["head", "-c", "64", MORTAR]).catch(() => ({ out: "" }));
  return out.startsWith("#!/bin/sh\n# mortar ") ? "" : `${MORTAR} does not carry its Deno`;
}

/** A copy of the program, a home of nobody's, and a /var/cache of their own for each `sh`. */
class Place implements AsyncDisposable {
  constructor(readonly dir: string) {}

  static async make(): Promise<Place> {
    const dir = await Deno.makeTempDir({ prefix: "mt-unpack-" });
    await Deno.chmod(dir, 0o755);
    await must(["cp", "--reflink=auto", MORTAR, `${dir}/mortar`]);
    await Deno.mkdir(`${dir}/home`);
    await Deno.chown(`${dir}/home`, NOBODY, NOBODY);
    return new Place(dir);
  }

  get cache(): string {
    return `${this.dir}/home/.cache/mortar`;
  }

  /** Runs a script as root, apart from the machine's mounts; `$dir` is the place, `nobody` runs as that. */
  sh(script: string): Promise<Finished> {
    const begin = `set -e; dir=${this.dir}; mount -t tmpfs none /var/cache; nobody() { ` +
      `setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups ` +
      `env -i PATH=/usr/bin:/bin HOME=$dir/home "$@"; }; `;
    return run(["unshare", "--mount", "sh", "-c", begin + script]);
  }

  async refused(script: string, why: RegExp): Promise<void> {
    const { code, out, err } = await this.sh(script);
    equal(out, "");
    match(err, new RegExp(`^Cannot run mortar: ${why.source}\n$`));
    equal(code, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

const reason = await cannotRun();

function test(name: string, body: (at: Place) => Promise<void>): void {
  Deno.test({
    name: reason ? `${name} (skipped: ${reason})` : name,
    ignore: reason !== "",
    fn: async () => {
      await using at = await Place.make();
      await body(at);
    },
  });
}

test("dist/mortar: of several first starts each runs, and one has unpacked it, for its owner to write", async (at) => {
  const { code, out, err } = await at.sh(
    "for i in 1 2 3; do nobody $dir/mortar --version & all=$all\\ $!; done; for i in $all; do wait $i; done",
  );
  equal(err, "");
  equal(out, STARTED.repeat(3));
  equal(code, 0);
  const inside = [...Deno.readDirSync(at.cache)];
  deepEqual(inside.map(({ name }) => /^[0-9a-f]{64}$/.test(name)), [true, true]);
  for (const { name } of inside) {
    const { mode, uid } = Deno.statSync(`${at.cache}/${name}`);
    deepEqual([mode! & 0o777, uid], [0o755, NOBODY]);
  }
  const again = await at.sh('nobody $dir/mortar help "a  b"');
  match(again.err, /a {2}b/);
});

test("dist/mortar: what was changed after it was unpacked is not run", async (at) => {
  equal((await at.sh("nobody $dir/mortar --version")).out, STARTED);
  const main = "$(ls -d $dir/home/.cache/mortar/*/main.js)";
  const changed = /\S+ or \S+ is not as it was unpacked; remove them/;
  const change = (how: string, back: string) =>
    at.refused(
      `cp -a ${main} $dir/kept; ${how}; code=0; nobody $dir/mortar --version || code=$?; ${back}; exit $code`,
      changed,
    );
  const putBack = `cp -a --remove-destination $dir/kept ${main}`;
  await change(`truncate -s -1 ${main}; touch -d @946684800 ${main}`, putBack);
  await change(`printf x | dd of=${main} conv=notrunc status=none`, putBack);
  await change(`ln -sf $dir/kept ${main}`, putBack);
  const app = "$(dirname $(ls $dir/home/.cache/mortar/*/main.js))";
  await change(`echo >$dir/more; mv $dir/more ${app}/more.js`, `rm ${app}/more.js`);
  await change(`chmod g+w ${app}`, `chmod g-w ${app}`);
  await change(`a=${app}; mv $a $dir/away; ln -s $dir/away $a`, "rm $a; mv $dir/away $a");
  await change(`chown root ${app}`, `chown ${NOBODY} ${app}`);
  equal((await at.sh("nobody $dir/mortar --version")).out, STARTED);
});

test("dist/mortar: nothing is unpacked where somebody else could write it", async (at) => {
  const not = /\S+ is not a directory that only you can write to; remove it/;
  await at.refused(
    "mkdir -p $dir/x/mortar; nobody XDG_CACHE_HOME=$dir/x $dir/mortar --version",
    not,
  );
  await at.refused(
    "nobody mkdir -m 777 -p $dir/home/a/mortar; nobody XDG_CACHE_HOME=$dir/home/a $dir/mortar --version",
    not,
  );
  await at.refused(
    "nobody sh -c 'mkdir ~/b ~/c && ln -s ~/c ~/b/mortar'; nobody XDG_CACHE_HOME=$dir/home/b $dir/mortar --version",
    not,
  );
  await at.refused(
    "mkdir /var/cache/mortar; chown 1 /var/cache/mortar; $dir/mortar --version",
    not,
  );
  await at.refused("ln -s /tmp /var/cache/mortar; $dir/mortar --version", not);
});

test("dist/mortar: no room, no right to write or no home is told in one line", async (at) => {
  await at.refused(
    "mount -t tmpfs -o size=20m none /var/cache; $dir/mortar --version",
    /it cannot be unpacked in \/var\/cache\/mortar, is there room for 100 MB\? \(tar: .+\)/,
  );
  await at.refused("mount -o remount,ro /var/cache; $dir/mortar --version", /\S+ cannot be made/);
  await at.refused(
    "nobody XDG_CACHE_HOME= HOME= $dir/mortar --version",
    /neither HOME nor XDG_CACHE_HOME says where to unpack it/,
  );
  await at.refused(
    "mount -o remount,noexec /var/cache; $dir/mortar --version",
    /nothing in \/var\/cache\/mortar may be executed; is it mounted with noexec\?/,
  );
  deepEqual([...Deno.readDirSync(`${at.dir}/home`)], []);
});

test("dist/mortar: a damaged one unpacks nothing", async (at) => {
  await at.refused(
    "printf x | dd of=$dir/mortar bs=1 seek=20000000 conv=notrunc status=none; nobody $dir/mortar --version",
    /\S+ is damaged; get it again/,
  );
  await at.refused(
    "truncate -s 30000000 $dir/mortar; nobody $dir/mortar --version",
    /\S+ is damaged; get it again/,
  );
  deepEqual([...Deno.readDirSync(at.cache)], []);
});

test("dist/mortar: what root unpacked serves all users", async (at) => {
  const { out, err } = await at.sh("$dir/mortar --version; nobody $dir/mortar --version");
  equal(err, "");
  equal(out, STARTED.repeat(2));
  equal(exists(at.cache), false);
});
