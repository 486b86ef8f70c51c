import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { type LogOptions, makeLog, MetricsTable, realClock, realRandom } from "core/env.ts";

function logged(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = makeLog({
    level: "info",
    format: "text",
    write: (line) => lines.push(line),
    clock: { now: () => Date.UTC(2026, 0, 31, 12, 0, 0, 5) },
    ...options,
  });
  return { log, lines };
}

Deno.test("core/env: text logs have time, level, message and fields on one line", () => {
  const { log, lines } = logged();
  log.warn("brick down", { volume: "v", since_ms: 5, size: 2n ** 60n, ok: false, none: undefined });
  log.error("odd", { text: 'a "b"\nc', empty: "", equals: "a=b" });
  deepStrictEqual(lines, [
    "2026-01-31T12:00:00.005Z W brick down volume=v since_ms=5 size=1152921504606846976 ok=false\n",
    '2026-01-31T12:00:00.005Z E odd text="a \\"b\\"\\nc" empty="" equals="a=b"\n',
  ]);
});

Deno.test("core/env: JSON logs are one object a line", () => {
  const { log, lines } = logged({ format: "json" });
  log.info("hello\nworld", { big: 2n ** 60n, none: undefined });
  strictEqual(lines[0]!.indexOf("\n"), lines[0]!.length - 1);
  deepStrictEqual(JSON.parse(lines[0]!), {
    time: "2026-01-31T12:00:00.005Z",
    level: "info",
    message: "hello\nworld",
    big: "1152921504606846976",
  });
});

Deno.test("core/env: lines below the level are not written", () => {
  for (const [level, expected] of [["none", 0], ["error", 1], ["warn", 2], ["debug", 4]] as const) {
    const { log, lines } = logged({ level });
    log.error("e");
    log.warn("w");
    log.info("i");
    log.debug("d");
    strictEqual(lines.length, expected, level);
  }
});

Deno.test("core/env: fields of a log are on each of its lines, a line's own come over them", () => {
  const { log, lines } = logged();
  log.with({ xlator: "a" }).with({ brick: 1 }).info("x", { xlator: "b" });
  log.info("y");
  deepStrictEqual(lines.map((line) => line.slice(25)), ["I x xlator=b brick=1\n", "I y\n"]);
});

Deno.test("core/env: a message that a peer can cause at will is logged 60 times a minute", () => {
  let now = 0;
  const { log, lines } = logged({ clock: { now: () => now } });
  const layer = log.with({ volume: "v" });
  for (let i = 0; i < 1000; i++) layer.warn("refused", { i });
  strictEqual(lines.length, 60);
  ok(lines[59]!.endsWith('W refused volume=v i=59 next="in a minute"\n'), lines[59]);
  // Others are heard meanwhile, and what was left out is counted.
  log.warn("accepted");
  log.debug("not logged");
  strictEqual(lines.length, 61);
  now += 60_000;
  log.warn("refused", { i: "last" });
  log.warn("refused", { i: "more" });
  deepStrictEqual(lines.slice(61).map((line) => line.slice(25)), [
    "W refused i=last left_out=940\n",
    "W refused i=more\n",
  ]);
});

Deno.test("core/env: debug lines are all written", () => {
  const { log, lines } = logged({ level: "debug" });
  for (let i = 0; i < 1000; i++) log.debug("fop");
  strictEqual(lines.length, 1000);
});

Deno.test("core/env: a peer's text does not make a line long", () => {
  for (const format of ["text", "json"] as const) {
    const { log, lines } = logged({ format });
    log.warn("odd", { key: "\x01".repeat(100_000) });
    ok(lines[0]!.length < 2048 * 6 + 200, String(lines[0]!.length));
  }
});

Deno.test("core/env: metrics are counted by name and read with units", () => {
  const metrics = new MetricsTable();
  let value = 7;
  metrics.gauge("held", "locks", () => value);
  metrics.counter("sent", "bytes").add(5);
  metrics.counter("sent", "bytes").add(6);
  value = 8;
  deepStrictEqual(metrics.read(), [
    { name: "sent", unit: "bytes", value: 11 },
    { name: "held", unit: "locks", value: 8 },
  ]);
});

Deno.test("core/env: a delay ends early when its signal says so", async () => {
  const before = realClock.monotonic();
  await rejects(
    realClock.delay(60_000, AbortSignal.abort(new Error("never began"))),
    /never began/,
  );
  const stop = new AbortController();
  const waiting = realClock.delay(60_000, stop.signal);
  stop.abort(new Error("enough"));
  await rejects(waiting, /enough/);
  await realClock.delay(0, new AbortController().signal);
  ok(realClock.monotonic() - before < 30_000);
});

Deno.test("core/env: timers run and are cancelled", async () => {
  let ran = 0;
  realClock.after(0, () => ran += 100).cancel();
  const done = Promise.withResolvers<void>();
  const timer = realClock.every(1, () => ++ran === 2 && done.resolve());
  // Timers of a clock do not keep the process alive; a delay does.
  const keep = new AbortController();
  const alive = realClock.delay(10_000, keep.signal).catch(() => {});
  await done.promise;
  timer.cancel();
  keep.abort();
  await alive;
  strictEqual(ran, 2);
});

Deno.test("core/env: random numbers, bytes and UUIDs are of their form", () => {
  for (let i = 0; i < 1000; i++) {
    const number = realRandom.int(3);
    ok(number === 0 || number === 1 || number === 2);
  }
  strictEqual(realRandom.bytes(20).length, 20);
  ok(
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(realRandom.uuid()),
  );
});
