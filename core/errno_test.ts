import { notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { constants } from "node:os";
import * as errno from "core/errno.ts";
import { ENOENT, ESTALE, FopError, fopError } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { Xdata } from "core/xdata.ts";

Deno.test("core/errno: names and numbers are the system's", () => {
  for (const [code, number] of Object.entries(constants.errno)) {
    strictEqual(fopError(number).errno, number, code);
    const failure = (errno as Record<string, unknown>)[code];
    if (failure instanceof FopError) strictEqual(failure.errno, number, code);
  }
});

Deno.test("core/errno: no number has two failures", () => {
  const seen = new Map<number, FopError>();
  for (const failure of Object.values(errno)) {
    if (!(failure instanceof FopError)) continue;
    strictEqual(seen.get(failure.errno) ?? failure, failure);
    seen.set(failure.errno, failure);
    ok(failure.message.startsWith(`${failure.code}: `) || failure.code === "EAGAIN");
  }
  ok(seen.size > 100);
});

Deno.test("core/errno: a system call's negative result gives the shared failure", () => {
  strictEqual(fopError(-2), ENOENT);
  strictEqual(fopError(2), ENOENT);
});

Deno.test("core/errno: a number without a name is kept", () => {
  const failure = fopError(-4095);
  strictEqual(failure.errno, 4095);
  strictEqual(fopError(4095), failure);
  ok(failure.matches(fopError(4095)));
});

Deno.test("core/errno: a failure that carries something is still that failure", () => {
  const xdata = new Xdata(new Map());
  const carrying = ENOENT.carrying({ xdata });
  notStrictEqual(carrying, ENOENT);
  ok(carrying instanceof FopError && carrying instanceof Error);
  strictEqual(carrying.xdata, xdata);
  strictEqual(carrying.errno, 2);
  ok(ENOENT.matches(carrying) && carrying.matches(ENOENT));
  ok(!ESTALE.matches(carrying));
  strictEqual(ENOENT.xdata, undefined);
  ok(!ENOENT.matches(new Error("ENOENT")));
});

Deno.test("core/errno: a failure that carries something is given more, and keeps what it had", () => {
  const xdata = new Xdata(new Map()), postParent = { size: 1 } as Iatt;
  const first = ENOENT.carrying({ postParent }), both = first.carrying({ xdata });
  strictEqual(both.postParent, postParent);
  strictEqual(both.xdata, xdata);
  strictEqual(first.xdata, undefined);
  strictEqual(both.carrying({ xdata: undefined }).xdata, undefined);
  strictEqual(both.carrying({ xdata: undefined }).postParent, postParent);
  ok(ENOENT.matches(both) && both.matches(ENOENT) && both instanceof FopError);
  strictEqual(both.message, ENOENT.message);
  // Not one from the other: the last of many layers' failures is as near to the shared one as the first.
  strictEqual(Object.getPrototypeOf(both), ENOENT);
});
