import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { type Answer, type Asked, runCommand } from "rpc/programs/commands.ts";
import { opaque, XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";

const asked: Asked = {
  words: ["volume", "start", "größe"],
  form: "xml",
  manner: "gluster",
  confirmed: true,
};
const answer: Answer = { stdout: "a\n", stderr: "", exitCode: 3, question: "Sure?" };

Deno.test("rpc/commands: command lines and answers come out as they went in", () => {
  const to = new XdrWriter();
  runCommand.args.write(to, asked);
  runCommand.result.write(to, answer);
  const from = new XdrReader(to.written.slice());
  deepEqual(runCommand.args.read(from), asked);
  deepEqual(runCommand.result.read(from), answer);
  equal(from.left, 0);
});

function written(text: string): XdrReader {
  const to = new XdrWriter();
  opaque(1 << 20).write(to, new TextEncoder().encode(text));
  return new XdrReader(to.written.slice());
}

Deno.test("rpc/commands: what is not what it should be is malformed, and nothing else", () => {
  const good = { ...asked };
  const bad: unknown[] = [
    null,
    [],
    7,
    {},
    { ...good, words: "x" },
    { ...good, words: [1] },
    { ...good, form: "html" },
    { ...good, manner: "__proto__" },
  ];
  for (const value of bad) {
    throws(() => runCommand.args.read(written(JSON.stringify(value))), XdrError);
  }
  throws(() => runCommand.args.read(written("{")), XdrError);
  throws(() => runCommand.args.read(written(`{"words":["${"x".repeat(90_000)}"]}`)), XdrError);
  throws(
    () => runCommand.result.read(written('{"stdout":"","stderr":"","exitCode":"1"}')),
    XdrError,
  );
  // Only true confirms.
  const asks = { ...good, confirmed: "yes" };
  equal(runCommand.args.read(written(JSON.stringify(asks))).confirmed, false);
});
