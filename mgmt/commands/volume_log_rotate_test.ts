import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeLog, volumeLogRotate } from "mgmt/commands/volume_log_rotate.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

async function withVolume(
  body: (at: {
    readonly dir: string;
    readonly rotated: string[];
    run(line: string, form?: "text" | "xml"): Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bp-rotate-" });
  try {
    const { cluster, bricks } = fakeCluster(`${dir}/home`);
    await Deno.mkdir(cluster.places.logs, { recursive: true });
    const rotated: string[] = [];
    bricks.rotateLog = (_volume?: VolumeRecord, brick?: BrickRecord) =>
      Promise.resolve(void rotated.push(brickText(brick!)));
    const commands = [volumeCreate, volumeStart, volumeLogRotate, volumeLog];
    const dispatcher = new Dispatcher(cluster, commands);
    const run = async (line: string, form: "text" | "xml" = "text") => {
      const words = line.split(" ");
      const answer = await dispatcher.run({
        words,
        form,
        manner: "gluster",
        confirmed: true,
      });
      return answer.stdout + answer.stderr;
    };
    await run(`volume create v1 h:${dir}/a h:${dir}/b force`);
    await body({ dir, rotated, run });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("volume log rotate: all bricks, or one, in either order of words", () =>
  withVolume(async ({ dir, rotated, run }) => {
    await run("volume start v1");
    const success = "volume log-rotate: success\n";
    equal(await run("volume log rotate v1"), success);
    deepEqual(rotated.splice(0), [`h:${dir}/a`, `h:${dir}/b`]);
    equal(await run(`volume log v1 rotate h:${dir}//b/`), success);
    deepEqual(rotated.splice(0), [`h:${dir}/b`]);
  }));

Deno.test("volume log rotate: says what is wrong in GlusterFS's words, and rotates nothing", () =>
  withVolume(async ({ dir, rotated, run }) => {
    const failed = "volume log-rotate: failed: ";
    equal(
      await run("volume log v1 rotate"),
      `${failed}Volume v1 needs to be started before log rotate.\n`,
    );
    await run("volume start v1");
    equal(
      await run(`volume log rotate v1 h:${dir}/c`),
      `${failed}Incorrect brick h:${dir}/c for volume v1\n`,
    );
    equal(await run("volume log v2 rotate"), `${failed}Volume v2 does not exist\n`);
    deepEqual(rotated, []);
  }));

Deno.test("volume log rotate: XML is GlusterFS's, in success and failure", () =>
  withVolume(async ({ run }) => {
    const document = (ret: number, errno: number, error: string, output: string) =>
      `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<cliOutput>
  <opRet>${ret}</opRet>
  <opErrno>${errno}</opErrno>
  ${error ? `<opErrstr>${error}</opErrstr>` : "<opErrstr/>"}
  <cliOp>volLogRotate</cliOp>
  <output>${output}</output>
</cliOutput>
`;
    const none = "Volume v2 does not exist";
    equal(await run("volume log v2 rotate", "xml"), document(-1, 30800, none, none));
    await run("volume start v1");
    equal(
      await run("volume log v1 rotate", "xml"),
      document(0, 0, "", "log rotate successful"),
    );
  }));
