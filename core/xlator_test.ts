import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { type Call, isInternal, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EIO, ENOENT, EOPNOTSUPP } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, FOP_NAMES, type FopName, FOPS, type Reply } from "core/fops.ts";
import { Funnel, PassThrough, Refuse, settle, Uniform, windTo } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node } from "tests/fakes/node.ts";

class Through extends PassThrough {
  say(event: GraphEvent): void {
    this.emit(event);
  }
}
class Around extends Uniform {
  readonly fops: FopName[] = [];
  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    this.fops.push(fop);
    return this.wind(fop, call, args);
  }
}
class Elsewhere extends Funnel {
  protected around<K extends FopName>(fop: K, _call: Call, args: Args<K>): Promise<Reply<K>> {
    return Promise.resolve({ fop, args } as unknown as Reply<K>);
  }
}
class Nothing extends Refuse {}

// Any object: the bases hand it on unseen.
const ARGS = { some: "args" } as unknown as Args<FopName>;

function ask(to: PassThrough | Uniform | Funnel | Refuse, fop: FopName): Promise<Reply<FopName>> {
  return windTo(to, fop as "stat", ROOT, ARGS as Args<"stat">);
}

// Answers every fop with a promise of its own.
function answers() {
  const promises = new Map(FOP_NAMES.map((fop) => [fop, Promise.resolve({ fop })]));
  const script = Object.fromEntries(FOP_NAMES.map((fop) => [fop, () => promises.get(fop)!]));
  return { promises, child: new FakeChild(script as unknown as Script) };
}

Deno.test("core/xlator: PassThrough answers the child's own promise for every fop", () => {
  const { promises, child } = answers();
  const top = new Through(node("top", [child]));
  for (const fop of FOP_NAMES) strictEqual(ask(top, fop), promises.get(fop), fop);
  deepStrictEqual(child.seen.map(({ fop }) => fop), [...FOP_NAMES]);
  ok(child.seen.every(({ call, args }) => call === ROOT && args === ARGS));
});

Deno.test("core/xlator: Uniform takes every fop through one method, under its name", () => {
  const { promises, child } = answers();
  const top = new Around(node("top", [child]));
  for (const fop of FOP_NAMES) strictEqual(ask(top, fop), promises.get(fop), fop);
  deepStrictEqual(top.fops, [...FOP_NAMES]);
  deepStrictEqual(child.fops, [...FOP_NAMES]);
});

Deno.test("core/xlator: Funnel takes every fop through one method without a child", async () => {
  const top = new Elsewhere(node("top"));
  for (const fop of FOP_NAMES) {
    deepStrictEqual(await ask(top, fop), { fop, args: ARGS } as unknown);
  }
});

Deno.test("core/xlator: Refuse fails every fop with EOPNOTSUPP", async () => {
  const top = new Nothing(node("top"));
  for (const fop of FOP_NAMES) await rejects(ask(top, fop), (error) => EOPNOTSUPP.matches(error));
});

Deno.test("core/xlator: layers over one child refuse none and several", () => {
  const child = () => new FakeChild();
  for (const children of [[], [child(), child()]]) {
    throws(() => new Through(node("top", children)), /"top": it takes exactly one subvolume/);
    throws(() => new Around(node("top", children)), RangeError);
  }
});

Deno.test("core/xlator: events rise through all layers to all listeners", () => {
  const bottom = new Through(node("bottom", [new FakeChild()]));
  const top = new Around(node("top", [new Through(node("middle", [bottom]))]));
  const heard: string[] = [];
  top.listen((event) => heard.push(`a ${event.type}`));
  top.listen((event) => heard.push(`b ${event.type}`));
  bottom.say({ type: "child-down" });
  deepStrictEqual(heard, ["a child-down", "b child-down"]);
});

Deno.test("core/xlator: settle answers failures as values and lets bugs through", async () => {
  const answers = [Promise.resolve(1), Promise.reject(ENOENT), Promise.reject(EIO)];
  deepStrictEqual(await settle(answers), [
    { ok: true, value: 1 },
    { ok: false, error: ENOENT },
    { ok: false, error: EIO },
  ]);
  await rejects(settle([Promise.reject(EIO), Promise.reject(new TypeError("bug"))]), TypeError);
  deepStrictEqual(await settle([]), []);
});

Deno.test("core/fops: procedures are those of the wire, each once", () => {
  const procs = FOP_NAMES.map((fop) => FOPS[fop].proc);
  deepStrictEqual(procs, Array.from({ length: 56 }, (_, i) => i + 1).filter((proc) => proc !== 49));
});

Deno.test("core/call: negative process numbers are daemons", () => {
  deepStrictEqual([isInternal(ROOT), isInternal({ ...ROOT, pid: PID_SELF_HEAL })], [false, true]);
});
