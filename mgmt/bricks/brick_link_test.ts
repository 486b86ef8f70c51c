import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import { procedures, serve } from "rpc/program.ts";
import { BRICK_OPS_NAME, BRICK_OPS_PROGRAM, terminate } from "rpc/programs/brick_ops.ts";
import { Listener } from "rpc/server.ts";
import { testEnv } from "tests/fakes/node.ts";

const ANSWER = { ret: 0, errno: 0, output: undefined, error: "" };
const REQUEST = { name: "/b", op: 1, input: undefined, dict: undefined };

function listen(path: string, asked: string[]): Listener {
  const program = {
    ...BRICK_OPS_PROGRAM,
    name: BRICK_OPS_NAME,
    procedures: procedures([[
      terminate.procedure,
      serve(terminate, ({ name }) => {
        asked.push(name);
        return ANSWER;
      }),
    ]]),
  };
  return new Listener({ kind: "unix", path }, testEnv(), { programs: () => [program] });
}

Deno.test("bricks/link: one connection serves many questions, and a brick that came back is found again", async () => {
  const dir = await Deno.makeTempDir({ prefix: "bp-link-" });
  try {
    const path = `${dir}/socket`, asked: string[] = [];
    const link = new BrickLink(testEnv(), path);
    await rejects(link.ask(terminate, REQUEST), Deno.errors.NotFound);
    const brick = listen(path, asked);
    deepEqual(await link.ask(terminate, REQUEST), ANSWER);
    await link.ask(terminate, REQUEST);
    const connections = [...brick.connections];
    equal(connections.length, 1);
    connections[0]!.close("the brick is another one");
    deepEqual(await link.ask(terminate, REQUEST), ANSWER);
    deepEqual(asked, ["/b", "/b", "/b"]);
    link.close();
    await brick.stop();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
