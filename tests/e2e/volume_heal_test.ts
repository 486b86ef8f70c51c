/** Healing as an operator sees it: our management daemon, its healer and its commands, GlusterFS's clients. */

import { ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { BEFORE, CHANGES } from "tests/e2e/own_heal.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { must, run, until } from "tests/e2e/process.ts";
import { expectSameTree, healedDiffers, readTree, visible } from "tests/e2e/tree.ts";

async function replica(node: ManagedNode, name: string, count: number): Promise<void> {
  const bricks = Array.from({ length: count }, (_, i) => `${NODE_HOST}:${node.dir}/${name}-${i}`);
  await node.must(`volume create ${name} replica ${count} ${bricks.join(" ")} force`);
  await node.must(`volume start ${name}`);
}

async function healerOf(node: ManagedNode, name: string): Promise<number> {
  let pid = 0;
  await until("the self-heal daemon runs", async () => {
    const row = /^Self-heal Daemon on \S+\s+N\/A\s+N\/A\s+Y\s+(\d+)/m;
    const found = row.exec(await node.must(`volume status ${name}`));
    pid = Number(found?.[1] ?? 0);
    return pid > 0;
  });
  return pid;
}

async function nothingLeft(node: ManagedNode, name: string): Promise<void> {
  await until(
    "nothing is left to heal",
    async () => {
      const text = await node.must(`volume heal ${name} info`);
      return !text.includes("not connected") && !/entries: [1-9]/.test(text);
    },
    60_000,
    300,
  );
}

e2e("volume heal: a brick that was away is healed by the daemon's healer", [], async () => {
  await using node = await ManagedNode.start("--no-restart");
  await replica(node, "v", 3);
  const healer = await healerOf(node, "v");
  const line = (await Deno.readTextFile(`/proc/${healer}/cmdline`)).replaceAll("\0", " ");
  ok(line.startsWith("/usr/sbin/glusterfs ") && line.includes("--process-name glustershd"), line);
  const mount = await node.mount("v");
  await must(["sh", "-c", 'cd "$0" && seq 1 9999 > f && mkdir d && echo x > d/g', mount.path]);
  const [, victim] = await node.allOnline("v");
  Deno.kill(victim!.pid, "SIGKILL");
  await must([
    "sh",
    "-c",
    'cd "$0" && echo more >> f && echo y > d/h && chmod 600 d/g',
    mount.path,
  ]);
  await until("the change is listed by path", async () => {
    const text = await node.must("volume heal v info");
    return ["/f ", "/d ", "/d/g "].every((path) => text.split("\n").includes(path));
  });
  const text = await node.must("volume heal v info");
  ok(/v-1\nStatus: Transport endpoint is not connected\nNumber of entries: -\n/.test(text), text);
  const summary = await node.must("volume heal v info summary");
  ok(/v-0\nStatus: Connected\nTotal Number of entries: [1-9]/.test(summary), summary);
  const launched = await node.try("volume heal v");
  equal(launched.code, 1);
  ok(
    launched.err.startsWith(
      "Launching heal operation to perform index self heal on volume v has been unsuccessful:",
    ),
    launched.err,
  );
  await node.must("volume start v force");
  await nothingLeft(node, "v");
  const sums = await must(["sh", "-c", "cat v-0/f v-0/d/h | md5sum; cat v-1/f v-1/d/h | md5sum"], {
    cwd: node.dir,
  });
  const [one, other] = sums.trim().split("\n");
  equal(one, other);
  const done = await node.must("volume heal v");
  equal(
    done,
    "Launching heal operation to perform index self heal on volume v has been successful \n" +
      "Use heal info commands to check status.\n",
  );
  const counts = await node.must("volume heal v statistics heal-count");
  equal(counts.match(/^Number of entries: 0$/gm)?.length, 3);
  ok((await node.must("volume heal v statistics")).includes("Type of crawl: INDEX"));
  Deno.kill(healer, "SIGKILL");
  await until("the healer is gone", async () => {
    return (await node.must("volume status v")).includes("Self-heal Daemon on localhost") &&
      !(await node.must("volume status v")).includes(` ${healer}\n`);
  });
});

e2e("volume heal: the healer outlives the management daemon", [], async () => {
  await using node = await ManagedNode.start();
  await replica(node, "v", 2);
  const healer = await healerOf(node, "v");
  await node.endDaemon();
  await node.startDaemon();
  equal(await healerOf(node, "v"), healer);
  await replica(node, "w", 2);
  equal(await healerOf(node, "w"), healer);
  equal((await node.must("volume heal w info")).match(/^Number of entries: 0$/gm)?.length, 2);
  await node.must("volume stop v");
  await node.must("volume stop w");
  await until("nothing to heal, no healer", () => {
    try {
      Deno.statSync(`/proc/${healer}`);
      return false;
    } catch {
      return true;
    }
  });
});

e2e(
  "volume heal: a healer that is killed with work to do is started again, and does it",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await replica(node, "v", 2);
    const healer = await healerOf(node, "v");
    const mount = await node.mount("v");
    await must(["mkdir", `${mount.path}/d`]);
    // Stopped, so that there is work to do however long the brick is away.
    Deno.kill(healer, "SIGSTOP");
    await until("the brick that is left lists files", async () => {
      const bricks = await node.allOnline("v");
      Deno.kill(bricks[1]!.pid, "SIGKILL");
      const write = 'cd "$0/d" && for i in $(seq 1 50); do echo $i > $i; done';
      await must(["sh", "-c", write, mount.path]);
      const listed = Deno.readDirSync(`${node.dir}/v-0/.glusterfs/indices/xattrop`);
      return [...listed].filter(({ name }) => !name.startsWith("xattrop-")).length > 10;
    });
    Deno.kill(healer, "SIGKILL");
    await until("another healer runs", async () => await healerOf(node, "v") !== healer);
    await node.allOnline("v");
    await nothingLeft(node, "v");
    const sum = (brick: string) => must(["sh", "-c", `cat ${node.dir}/${brick}/d/* | md5sum`]);
    equal(await sum("v-0"), await sum("v-1"));
  },
);

e2e("volume heal: a split-brain is shown, and ended as it is told", [], async () => {
  await using node = await ManagedNode.start("--no-restart");
  await replica(node, "v", 2);
  await node.must("volume set v cluster.quorum-type none");
  await node.must("volume heal v disable");
  const mount = await node.mount("v");
  const sh = (script: string) => must(["sh", "-c", `cd "$0" && ${script}`, mount.path]);
  await sh("for i in a b c d; do echo old > $i; done");
  for (const [victim, word] of [[0, "short"], [1, "longer-word"]] as const) {
    const bricks = await node.allOnline("v");
    Deno.kill(bricks[victim]!.pid, "SIGKILL");
    await until("the brick is away", async () => !(await node.bricks("v"))[victim]!.online);
    // A client that was there before may not know yet; a new one does.
    const fresh = await node.mount("v");
    const write =
      `cd "$0" && for i in a b c d; do echo ${word} > $i; sync $i; done && echo ${word} > made`;
    await must(["sh", "-c", write, fresh.path]);
    await fresh[Symbol.asyncDispose]();
    await node.must("volume start v force");
    await node.allOnline("v");
  }
  await until("split-brains are seen", async () => {
    const text = await node.must("volume heal v info split-brain");
    return text.match(/^Number of entries in split-brain: 5$/gm)?.length === 2;
  });
  ok((await node.must("volume heal v info")).includes("/a - Is in split-brain\n"));
  ok((await node.must("--xml volume heal v info")).startsWith(
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<cliOutput>\n  <healInfo>\n',
  ));
  // Each brick made a name while the other was away, as glfsheal shows it.
  ok((await node.must("volume heal v info split-brain")).includes("\n/\n"));
  await endsByAttributes(node, "d");
  equal(await node.must("volume heal v split-brain bigger-file /a"), "Healed /a.\n");
  equal(await node.must("volume heal v split-brain latest-mtime /b"), "Healed /b.\n");
  // Made on each brick while the other was away: one name, two files.
  equal(
    await node.must("volume heal v split-brain bigger-file /made"),
    "GFID split-brain resolved for file /made\n",
  );
  const source = `${NODE_HOST}:${node.dir}/v-1`;
  ok(
    (await node.must(`volume heal v split-brain source-brick ${source}`)).includes("Healed gfid:"),
  );
  const read = (path: string) => Deno.readTextFile(`${node.dir}/${path}`);
  for (const brick of ["v-0", "v-1"]) {
    equal(await read(`${brick}/made`), "longer-word\n");
    equal(await read(`${brick}/a`), "longer-word\n");
    equal(await read(`${brick}/b`), "longer-word\n");
    equal(await read(`${brick}/c`), "short\n");
  }
  const again = await node.try("volume heal v split-brain bigger-file /a");
  equal(again.code, 1);
  equal(again.err, "Healing /a failed: File not in split-brain.\nVolume heal failed.\n");
});

// Through our mount, as through GlusterFS's: they answer the same.
async function endsByAttributes(node: ManagedNode, name: string): Promise<void> {
  await using ours = await OurMount.at(node.space, node.dir, `${NODE_HOST}:/v`, "log-level=INFO");
  const theirs = await node.mount("v");
  const status = ["getfattr", "--only-values", "-n", "replica.split-brain-status"];
  const told = await must([...status, `${ours.path}/${name}`]);
  ok(
    told.startsWith("data-split-brain:yes    metadata-split-brain:no    Choices:v-client-0,"),
    told,
  );
  // GlusterFS's mount has the NUL that ends the text in it.
  const their = async () => (await must([...status, `${theirs.path}/${name}`])).replace("\0", "");
  equal(told, await their());
  const sets = (what: string, value: string) =>
    must(["setfattr", "-n", `replica.split-brain-${what}`, "-v", value, `${ours.path}/${name}`]);
  equal((await run(["cat", `${ours.path}/${name}`])).code, 1);
  await sets("choice-timeout", "3");
  await sets("choice", "v-client-1");
  equal(await must(["cat", `${ours.path}/${name}`]), "short\n");
  await sets("choice", "v-client-0");
  equal(await must(["cat", `${ours.path}/${name}`]), "longer-word\n");
  await sets("heal-finalize", "v-client-1");
  for (const path of [ours.path, theirs.path, `${node.dir}/v-0`, `${node.dir}/v-1`]) {
    equal(await must(["cat", `${path}/${name}`]), "short\n");
  }
  equal(await must([...status, `${ours.path}/${name}`]), await their());
}

e2e("volume heal: a mount of ours heals what is looked at, if the volume says so", [], async () => {
  await using node = await ManagedNode.start("--no-restart");
  await replica(node, "v", 2);
  await node.must("volume heal v disable");
  for (const part of ["data", "metadata", "entry"]) {
    await node.must(`volume set v cluster.${part}-self-heal on`);
  }
  const bricks = await node.allOnline("v");
  await using ours = await OurMount.at(node.space, node.dir, `${NODE_HOST}:/v`, "log-level=INFO");
  const sh = (script: string) => must(["sh", "-c", `cd "$0" && ${script}`, ours.path]);
  await sh("mkdir d && echo old > f && echo x > d/gone");
  Deno.kill(bricks[1]!.pid, "SIGKILL");
  await until("the brick is away", async () => !(await node.bricks("v"))[1]!.online);
  await sh("echo newer > f && sync f && chmod 600 f && echo y > d/made && rm d/gone");
  await node.must("volume start v force");
  await node.allOnline("v");
  const stateOf = (brick: string) =>
    must(["sh", "-c", 'cd "$0" && cat f && stat -c %a f && ls d', `${node.dir}/${brick}`]);
  await until(
    "the copies are alike",
    async () => {
      await sh("stat f d >/dev/null && ls -l d >/dev/null");
      return await stateOf("v-0") === await stateOf("v-1");
    },
    60_000,
    500,
  );
  equal(await stateOf("v-1"), "newer\n600\nmade\n");
});

e2e("volume heal: full brings everything to a brick whose disk is new", [], async () => {
  await using node = await ManagedNode.start("--no-restart");
  await replica(node, "v", 2);
  await healerOf(node, "v");
  const mount = await node.mount("v");
  const make =
    `cd "$0" && mkdir -p a/b/c && seq 1 20000 > a/b/c/f && ln a/b/c/f a/g && ln -s x a/s &&
    mkdir -m 1777 t && chown 5:6 t && for i in $(seq 1 50); do echo $i > t/$i; done`;
  await must(["sh", "-c", make, mount.path]);
  const [, victim] = await node.allOnline("v");
  Deno.kill(victim!.pid, "SIGKILL");
  const path = `${node.dir}/v-1`;
  await must([
    "sh",
    "-c",
    `id=$(getfattr --absolute-names -e hex -n trusted.glusterfs.volume-id "$0" |
    sed -n 's/.*=//p'); rm -rf "$0"/* "$0"/.glusterfs; setfattr -x trusted.gfid "$0"
    mkdir -p "$0/.glusterfs/indices"; setfattr -n trusted.glusterfs.volume-id -v $id "$0"`,
    path,
  ]);
  await node.must("volume start v force");
  await node.allOnline("v");
  await until("the healer is back at the brick", async () => {
    return !(await node.must("volume heal v info")).includes("not connected");
  });
  await node.must("volume heal v full");
  const list =
    `cd "$0" && find . -path ./.glusterfs -prune -o -printf '%P %y %m %U:%G %n %s %l\\n' |
    sed 's/ d \\(.*\\) [0-9]* [0-9]* $/ d \\1/' | sort; find . -path ./.glusterfs -prune -o -type f -print |
    sort | xargs md5sum`;
  const listed = (brick: string) => must(["sh", "-c", list, `${node.dir}/${brick}`]);
  let difference = "";
  await until(
    "both bricks hold the same",
    async () => {
      const [one, other] = [await listed("v-0"), await listed("v-1")];
      difference = `${one}\n-----\n${other}`;
      return one === other;
    },
    30_000,
    300,
  ).catch((error) => {
    throw new Error(`${error}\n${difference}`);
  });
  await nothingLeft(node, "v");
});

for (const granular of ["enable", "disable"]) {
  e2e(
    `volume heal: every kind of change, granular entry heal ${granular}d`,
    ["setfacl"],
    async () => {
      await using node = await ManagedNode.start("--no-restart");
      await replica(node, "v", 3);
      await node.must(`volume heal v granular-entry-heal ${granular}`);
      await healerOf(node, "v");
      const mount = await node.mount("v");
      // The mount has no ACLs.
      const sh = (script: string) =>
        must(["sh", "-c", script.replace(/^setfacl.*;/m, ""), "sh", mount.path]);
      await sh(BEFORE);
      const rows = await node.allOnline("v");
      Deno.kill(rows[0]!.pid, "SIGKILL");
      await until("the brick is away", async () => !(await node.bricks("v"))[0]!.online);
      await sh(CHANGES);
      const noted =
        [...Deno.readDirSync(`${node.dir}/v-1/.glusterfs/indices/entry-changes`)].length;
      equal(noted > 1, granular === "enable");
      await node.must("volume start v force");
      await nothingLeft(node, "v");
      const tree = async (brick: string) => visible(await readTree(`${node.dir}/${brick}`));
      const first = await tree("v-0");
      for (const other of ["v-1", "v-2"]) expectSameTree(first, await tree(other), healedDiffers);
    },
  );
}
