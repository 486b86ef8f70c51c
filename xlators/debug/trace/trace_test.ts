import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO, ENOENT } from "core/errno.ts";
import { DONE, FOP_NAMES, type Fops } from "core/fops.ts";
import { Fd, ROOT_GFID } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { windTo, type Xlator } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import { describe } from "xlators/debug/trace/describe.ts";
import { trace } from "xlators/debug/trace/trace.ts";

function bed(script: Partial<Fops>, option: Record<string, string>) {
  const log = new LinesLog();
  const at = node("t", [new FakeChild(script)], { env: testEnv({ log }) });
  const values = readOptions(trace.options, new Map(Object.entries(option)));
  const top: Xlator = trace.create(at, values);
  return { top, lines: log.lines, root: at.inodes.root };
}

const history = (top: Xlator) => (top.state!() as { history: string[] }).history;

Deno.test("debug/trace: a fop and its answer are a line each, at the level that is asked for", async () => {
  const stat = { gfid: ROOT_GFID, mode: 0o40755 };
  const lookup = () => Promise.resolve({ stat, postParent: undefined } as never);
  const { top, lines, root } = bed({ lookup }, { "log-file": "on", "force-log-level": "DEBUG" });
  await top.lookup(ROOT, { parent: root, name: "some file" });
  equal(lines.length, 2);
  match(lines[0]!, /^D fop fop=LOOKUP number=1 uid=0 .*parent=0{8}-.*name=some file/);
  match(lines[1]!, /^D answer fop=LOOKUP number=1 us=\d+ stat=gfid:0{8}-.* mode:16877$/);
});

Deno.test("debug/trace: failures are answers, and reach the caller", async () => {
  const { top, lines, root } = bed({ stat: () => Promise.reject(EIO) }, { "log-file": "on" });
  await rejects(top.stat(ROOT, { inode: root }), (error) => EIO.matches(error));
  match(lines[1]!, /^I answer fop=STAT number=1 us=\d+ error=EIO$/);
});

Deno.test("debug/trace: included fops, or all but the excluded, are traced", async () => {
  const script = { flush: () => Promise.resolve(DONE), access: () => Promise.resolve(DONE) };
  for (const option of [{ "include-ops": "FLUSH" }, { "exclude-ops": "access" }]) {
    const { top, root } = bed(script, { "log-history": "on", ...option });
    await top.flush(ROOT, { fd: new Fd(root, 0) });
    await top.access(ROOT, { inode: root, mask: 0 });
    equal(history(top).length, 2);
    ok(history(top).every((line) => line.includes("FLUSH")));
  }
  const both = new Map([["include-ops", "FLUSH"], ["exclude-ops", "LK"]]);
  ok(trace.check!(readOptions(trace.options, both)));
});

Deno.test("debug/trace: history keeps the last lines in order", async () => {
  const script = { flush: () => Promise.resolve(DONE) };
  const { top, root } = bed(script, { "log-history": "on", "history-size": "3" });
  for (let i = 0; i < 4; i++) await top.flush(ROOT, { fd: new Fd(root, 0) });
  deepEqual(history(top).map((line) => /^(\w+) .*number=(\d)/.exec(line)!.slice(1)), [
    ["answer", "3"],
    ["fop", "4"],
    ["answer", "4"],
  ]);
});

Deno.test("debug/trace: off, the child's promise is the answer", () => {
  for (const fop of FOP_NAMES) {
    const answer = new Promise<never>(() => {});
    const { top } = bed({ [fop]: () => answer } as Script, {});
    equal(windTo(top, fop, ROOT, {} as never), answer, fop);
  }
});

Deno.test("debug/trace: sizes and names are shown, contents are not", () => {
  const fields = describe({
    data: new Uint8Array(4096),
    xdata: Xdata.of([["user.secret", ptr(Uint8Array.of(1))]]),
    entries: [1, 2],
    target: "x".repeat(1000),
    lock: { type: "read", start: 5n },
    missing: undefined,
  });
  deepEqual({ ...fields, target: undefined }, {
    data: "4096 bytes",
    xdata: "user.secret",
    entries: "2 entries",
    target: undefined,
    lock: "type:read start:5",
  });
  equal(String(fields.target).length, 201);
  deepEqual(describe(ENOENT), { error: "ENOENT" });
});
