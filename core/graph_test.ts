import { deepStrictEqual, match, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { buildGraph } from "core/graph.ts";
import { bool, int, text } from "core/options.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { type Node, PassThrough, Refuse } from "core/xlator.ts";
import { LinesLog, testClient, testEnv } from "tests/fakes/node.ts";

const events: string[] = [];

class Brick extends Refuse {
  constructor(node: Node, readonly fails: boolean) {
    super(node);
  }
  start(): Promise<void> {
    events.push(`start ${this.name}`);
    return this.fails ? Promise.reject(new Error("no disk")) : Promise.resolve();
  }
  stop(): Promise<void> {
    events.push(`stop ${this.name}`);
    return Promise.resolve();
  }
}

class Tuned extends PassThrough {
  values: unknown;
  start(): Promise<void> {
    events.push(`start ${this.name}`);
    return Promise.resolve();
  }
  stop(): Promise<void> {
    events.push(`stop ${this.name}`);
    return Promise.resolve();
  }
  reconfigure(values: object): void {
    this.values = values;
  }
  clientGone(): void {
    events.push(`gone ${this.name}`);
  }
}

const brick = defineXlator({
  type: "test/brick",
  summary: "",
  options: { path: text({ default: "", help: "" }), fail: bool({ default: false, help: "" }) },
  subvolumes: "none",
  create: (node, values) => new Brick(node, values.fail),
});
const tuned = defineXlator({
  type: "test/tuned",
  summary: "",
  options: {
    low: int({ default: 1, help: "" }),
    high: int({ default: 9, help: "" }),
    fixed: text({ default: "", help: "", live: false }),
    "*-limit": int({ default: 0, help: "" }),
  },
  subvolumes: "one",
  check: ({ low, high }) => low > high ? '"low" is above "high"' : undefined,
  create: (node) => new Tuned(node),
});
const many = defineXlator({
  type: "test/many",
  summary: "",
  options: {},
  subvolumes: "many",
  create: (node) => new Brick(node, false),
});
const guarded = defineXlator({
  ...many,
  type: "test/guarded",
  needs: { layer: "test/tuned", over: "test/brick" },
});
const picky = defineXlator({
  ...many,
  type: "test/picky",
  create: ({ name }) => {
    throw new RangeError(`Cannot build "${name}": wants two`);
  },
});
const TYPES = xlatorTypes([brick, tuned, many, guarded, picky]);

function build(volfile: string, lines: string[] = []) {
  events.length = 0;
  return buildGraph(parseVolfile(volfile), TYPES, testEnv({ log: new LinesLog(lines) }));
}

const BRICK = "volume b\ntype test/brick\nend-volume\n";
function over(options = ""): string {
  return `${BRICK}volume t\ntype test/tuned\n${options}subvolumes b\nend-volume\n`;
}

Deno.test("core/graph: the last volume is the top, children are those named", () => {
  const graph = build(over());
  strictEqual(graph.top.name, "t");
  deepStrictEqual(graph.top.children.map(({ name }) => name), ["b"]);
  deepStrictEqual([...graph.nodes].map(({ type }) => type.type), ["test/brick", "test/tuned"]);
  strictEqual(graph.node("b")?.xlator, graph.top.children[0]);
});

Deno.test("core/graph: errors name the volume and the line", () => {
  const wrong: [string, RegExp][] = [
    ["", /volfile is empty/],
    ["\nvolume a\ntype no/such\nend-volume\n", /volume "a" \(line 2\): unknown type "no\/such"/],
    [BRICK + BRICK, /volume "b" \(line 4\): name already used/],
    [
      "volume t\ntype test/tuned\nsubvolumes none\nend-volume\n",
      /volume "t" \(line 1\): subvolume "none" is not defined above it/,
    ],
    [
      "volume t\ntype test/tuned\nend-volume\n",
      /volume "t" \(line 1\): type "test\/tuned" takes exactly one subvolume, got 0/,
    ],
    ["volume m\ntype test/many\nend-volume\n", /volume "m" \(line 1\): .* needs subvolumes/],
    [
      `${BRICK}volume c\ntype test/brick\nsubvolumes b\nend-volume\n`,
      /volume "c" \(line 4\): .* takes no subvolumes/,
    ],
    [
      `${BRICK}volume m\ntype test/many\nsubvolumes b b\nend-volume\n`,
      /volume "m" \(line 4\): subvolume "b" is named twice/,
    ],
    [
      `${BRICK}volume g\ntype test/guarded\nsubvolumes b\nend-volume\n`,
      /volume "g" \(line 4\): nothing of type test\/tuned is between it and "b"; .* test\/brick/,
    ],
    [
      `${over()}volume c\ntype test/brick\nend-volume\nvolume g\ntype test/guarded\nsubvolumes t c\nend-volume\n`,
      /volume "g" \(line 11\): nothing of type test\/tuned is between it and "c"/,
    ],
    [
      `${BRICK}volume p\ntype test/picky\nsubvolumes b\nend-volume\n`,
      /^Cannot build volume "p" \(line 4\): wants two$/,
    ],
    [over("option low many\n"), /volume "t" \(line 4\): option "low": expected a whole number/],
    [over("option low 10\n"), /volume "t" \(line 4\): "low" is above "high"/],
  ];
  for (const [volfile, message] of wrong) {
    throws(() => build(volfile), (error) => {
      ok(error instanceof RangeError, String(error));
      match(error.message, message);
      return true;
    });
  }
});

Deno.test("core/graph: unknown options and unused volumes are logged, not refused", () => {
  const lines: string[] = [];
  build(`volume unused\ntype test/brick\nend-volume\n${over("option lwo 3\n")}`, lines);
  ok(lines.some((line) => /^W option is not known .*volume=t.*option=lwo/.test(line)), `${lines}`);
  ok(lines.some((line) => /^W volume is not part of the graph.*volume=unused/.test(line)));
});

Deno.test("core/graph: layers start children first and stop top first", async () => {
  const graph = build(over());
  await graph.start();
  graph.clientGone(testClient());
  await graph.stop();
  deepStrictEqual(events, ["start b", "start t", "gone t", "stop t", "stop b"]);
});

Deno.test("core/graph: where a layer cannot start, those that did are stopped", async () => {
  const graph = build(
    `${BRICK}volume c\ntype test/brick\noption fail on\nend-volume\n` +
      "volume m\ntype test/many\nsubvolumes b c\nend-volume\n",
  );
  await rejects(graph.start(), /no disk/);
  deepStrictEqual(events, ["start b", "start c", "stop b"]);
});

Deno.test("core/graph: new option values are taken over in place", () => {
  const graph = build(over());
  ok(graph.reconfigure(parseVolfile(over("option low 2\noption trace-limit 5\n"))));
  const { values } = graph.top as Tuned;
  deepStrictEqual(values, { low: 2, high: 9, fixed: "", "*-limit": new Map([["trace", 5]]) });
  ok(graph.reconfigure(parseVolfile(over())));
  strictEqual(((graph.top as Tuned).values as { low: number }).low, 1, "back to the default");
  strictEqual(graph.blocks.at(-1)!.options.size, 0);
});

Deno.test("core/graph: unchanged blocks reconfigure nothing", () => {
  const graph = build(over("option low 2\n"));
  ok(graph.reconfigure(parseVolfile(over("option low 2\n"))));
  strictEqual((graph.top as Tuned).values, undefined);
});

Deno.test("core/graph: a wrong value changes nothing anywhere", () => {
  const two = (options: string) =>
    `${over(options)}volume u\ntype test/tuned\noption low 3\nsubvolumes t\nend-volume\n`;
  const graph = build(two(""));
  const wrong = two("option low 2\n").replace("option low 3", "option low 99");
  throws(() => graph.reconfigure(parseVolfile(wrong)), /volume "u" .*"low" is above "high"/);
  strictEqual((graph.node("t")!.xlator as Tuned).values, undefined);
  strictEqual(graph.node("t")!.values.low, 1);
});

Deno.test("core/graph: other shapes, types, fixed options and stiff layers need a new graph", () => {
  const graph = build(over());
  const others = [
    BRICK,
    over("option fixed x\n"),
    over().replaceAll("volume t", "volume s"),
    over().replace("type test/tuned", "type test/many"),
    `volume c\ntype test/brick\nend-volume\n${over()}`,
    over().replace("type test/brick", "type test/brick\noption path /x"),
  ];
  for (const volfile of others) strictEqual(graph.reconfigure(parseVolfile(volfile)), false);
  strictEqual((graph.top as Tuned).values, undefined);
});

Deno.test("core/graph: layers log under their volume's name", async () => {
  const lines: string[] = [];
  const graph = build(over(), lines);
  (graph.top as unknown as { env: { log: LinesLog } }).env.log.info("hello");
  ok(lines.includes("I hello xlator=t"), `${lines}`);
  await rejects(graph.top.stat(ROOT, { inode: graph.inodes.root }), /EOPNOTSUPP/);
});

Deno.test("core/graph: a layer that needs another one between it and what stores files is built over that", () => {
  const guard = "volume g\ntype test/guarded\nsubvolumes t\nend-volume\n";
  strictEqual(build(over() + guard).top.name, "g");
  strictEqual(
    build(`${over()}${guard}volume m\ntype test/guarded\nsubvolumes g\nend-volume\n`).top.name,
    "m",
  );
});
