import { match, strictEqual as equal } from "node:assert/strict";
import { type BlockOp, notLinearizable } from "tests/sim/register.ts";

function op(text: string): BlockOp {
  const [client, kind, value, begin, end] = text.split(" ");
  return {
    client: Number(client),
    kind: kind === "w" ? "write" : "read",
    value: Number(value),
    begin: Number(begin),
    end: Number(end),
  };
}

const check = (...lines: string[]) => notLinearizable(lines.map(op));

Deno.test("sim/register: a read sees the last write, or one under way", () => {
  equal(check("0 r 0 0 1", "0 w 1 2 3", "1 r 1 4 5"), undefined);
  equal(check("0 w 1 0 10", "1 r 0 1 2", "1 r 1 3 4"), undefined);
  equal(check("0 w 1 0 10", "1 w 2 0 10", "2 r 2 11 12"), undefined);
});

Deno.test("sim/register: a lost write is found", () => {
  match(check("0 w 1 0 1", "1 r 0 2 3")!, /two values|came and went/);
});

Deno.test("sim/register: new and then old is found", () => {
  match(check("0 w 1 0 9", "1 r 1 1 2", "1 r 0 3 4")!, /came and went|two values/);
  match(check("0 w 1 0 1", "0 w 2 2 9", "1 r 2 3 4", "2 r 1 5 6")!, /two values|came and went/);
});

Deno.test("sim/register: a failed write may happen late or never, but not twice", () => {
  equal(check("0 w 1 0 Infinity", "1 r 0 1 2"), undefined);
  equal(check("0 w 1 0 Infinity", "1 r 0 1 2", "1 r 1 5 6"), undefined);
  match(check("0 w 1 0 Infinity", "1 r 1 1 2", "1 r 0 3 4", "1 r 1 5 6")!, /two values|came and/);
});

Deno.test("sim/register: data that nobody wrote is found", () => {
  match(check("0 r 7 0 1")!, /nobody wrote/);
  match(check("0 r 7 0 1", "1 w 7 2 3")!, /before it was written/);
});
