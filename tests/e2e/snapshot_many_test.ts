/** Thousands of snapshots of one volume: the next costs what the first did, and all go at once. */

import { match, strictEqual as equal } from "node:assert/strict";
import { call } from "mgmt/cli/call.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { until } from "tests/e2e/process.ts";

/** The limit of a volume is 10,000. */
const COUNT = Number(Deno.env.get("MORTAR_SNAPSHOTS") ?? (LONG ? 10_000 : 40));

/** A command without a process for each. */
async function order(node: ManagedNode, line: string): Promise<string> {
  const answer = await call({ transport: "unix", path: `${node.run}/mgmt.socket` }, {
    ...{ words: line.split(" "), form: "text", manner: "mortar", confirmed: true },
  }, AbortSignal.timeout(600_000));
  equal(answer.exitCode, 0, answer.stderr);
  return answer.stdout;
}

function residentMiB(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(text)![1]) / 1024);
}

e2e(`snapshot: ${COUNT} of a volume, read, deleted in any order and all at once`, [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v", 1);
  await node.must(`snapshot config snap-max-hard-limit ${Math.max(256, COUNT)}`);
  await node.must(`snapshot config v snap-max-hard-limit ${Math.max(256, COUNT)}`);
  const mount = await node.mount("v"), file = `${mount.path}/f`;
  const [brick] = await node.allOnline("v"), before = residentMiB(brick!.pid);
  const times: number[] = [];
  for (let n = 1; n <= COUNT; n++) {
    if (n % 10 === 1) await Deno.writeTextFile(file, `${n}`);
    const begin = performance.now();
    await order(node, `snapshot create s${n} v no-timestamp`);
    times.push(performance.now() - begin);
  }
  const part = Math.max(1, Math.floor(COUNT / 10));
  const middle = (some: readonly number[]) => some.toSorted((a, b) => a - b)[some.length >> 1]!;
  const facts = [
    `create ${middle(times.slice(0, part)).toFixed(1)} ms at first`,
    `${middle(times.slice(-part)).toFixed(1)} ms at last`,
    `brick ${before} MiB, then ${residentMiB(brick!.pid)} MiB`,
  ];
  let begin = performance.now();
  const names = (await order(node, "snapshot list v")).trim().split("\n");
  facts.push(`list ${(performance.now() - begin).toFixed()} ms`);
  equal(names.length, COUNT);
  await order(node, "snapshot activate s1");
  await until(
    "the oldest can be read",
    async () => await Deno.readTextFile(`${mount.path}/.snaps/s1/f`).catch(() => "") === "1",
  );

  const random = seeded(COUNT), some = Math.min(200, COUNT >> 1);
  begin = performance.now();
  for (let n = 0; n < some; n++) {
    const at = 1 + random(names.length - 1);
    await order(node, `snapshot delete ${names.splice(at, 1)[0]}`);
  }
  facts.push(`delete one ${((performance.now() - begin) / some).toFixed(1)} ms`);
  equal(await Deno.readTextFile(`${mount.path}/.snaps/s1/f`), "1");
  begin = performance.now();
  match(await order(node, "snapshot delete volume v"), /s1: snap removed successfully/);
  facts.push(`delete ${names.length} at once ${(performance.now() - begin).toFixed()} ms`);
  equal(await order(node, "snapshot list"), "No snapshots present\n");
  if (LONG) await Deno.stdout.write(new TextEncoder().encode(`${facts.join("; ")}\n`));
});
