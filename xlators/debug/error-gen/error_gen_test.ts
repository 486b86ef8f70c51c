import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { type Random, realRandom } from "core/env.ts";
import { EAGAIN, EINTR, ENOLCK, ENOMEM, ENOSPC, type FopError } from "core/errno.ts";
import { DONE, FOP_NAMES } from "core/fops.ts";
import { readOptions } from "core/options.ts";
import { windTo } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { errorGen } from "xlators/debug/error-gen/error_gen.ts";

const everything = Object.fromEntries(
  FOP_NAMES.map((fop) => [fop, () => Promise.resolve(DONE)]),
) as unknown as Script;

function bed(option: Record<string, string>, int: Random["int"] = () => 0) {
  const child = new FakeChild(everything);
  const at = node("error", [child], { env: testEnv({ random: { ...realRandom, int } }) });
  const top = errorGen.create(at, readOptions(errorGen.options, new Map(Object.entries(option))));
  return { top, child };
}

Deno.test("debug/error-gen: at 100 percent all fail and none reaches the child, but files are released", async () => {
  const { top, child } = bed({ failure: "100", "error-no": "ENOSPC" });
  for (const fop of FOP_NAMES) {
    if (fop === "release" || fop === "releasedir") continue;
    await rejects(windTo(top, fop, ROOT, {} as never), (error) => ENOSPC.matches(error));
  }
  deepEqual(child.fops, []);
  await top.release(ROOT, {} as never);
  deepEqual(top.state?.(), { failures: FOP_NAMES.length - 2 });
});

Deno.test("debug/error-gen: the share decides, and only named fops fail", async () => {
  // The first is drawn for random-failure.
  const numbers = [0, 499_999, 500_000];
  const option = { failure: "50%", enable: "write,lk", "error-no": "EIO" };
  const { top, child } = bed(option, () => numbers.shift()!);
  await top.lookup(ROOT, {} as never);
  await rejects(top.writev(ROOT, {} as never));
  await top.writev(ROOT, {} as never);
  deepEqual(child.fops, ["lookup", "writev"]);
});

Deno.test("debug/error-gen: any error is one that the kind of fop may have", async () => {
  let next = 0;
  const { top } = bed({ failure: "100" }, (below) => below === 1e6 ? 0 : next++ % below);
  const seen: FopError[] = [];
  for (let i = 0; i < 4; i++) {
    await top.lk(ROOT, {} as never).catch((error) => seen.push(error));
  }
  deepEqual(new Set(seen), new Set([EAGAIN, EINTR, ENOLCK, ENOMEM]));
});

Deno.test("debug/error-gen: random failure lets some pass between two", async () => {
  const { top } = bed({ "random-failure": "on", "error-no": "EIO" }, () => 1);
  const ok: boolean[] = [];
  for (let i = 0; i < 8; i++) {
    await top.flush(ROOT, {} as never).then(() => ok.push(true), () => ok.push(false));
  }
  deepEqual(ok, [true, true, true, false, true, true, true, false]);
});

Deno.test("debug/error-gen: at 0 percent the child's promise is the answer", () => {
  const answer = new Promise<never>(() => {});
  const top = errorGen.create(
    node("e", [new FakeChild({ flush: () => answer })]),
    readOptions(errorGen.options, new Map([["failure", "0"]])),
  );
  equal(top.flush(ROOT, {} as never), answer);
});
