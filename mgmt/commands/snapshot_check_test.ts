import { match, ok, strictEqual as equal } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { check } from "snapshot/engine/check.ts";
import { History } from "snapshot/engine/history.ts";
import { HistoryError } from "snapshot/engine/store.ts";
import { testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { SmallVolume } from "tests/fakes/small_volume.ts";
import { copyFiles } from "tests/history/kill_points.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const FILE = "00000000-0000-4000-8000-00000000000a" as Gfid;
const FLIPS = 150;

async function mortarCheck(brick: string, ...more: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", MAIN, "snapshot", "check", brick, ...more],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** A brick with a snapshot "before" of a file that was overwritten since. */
async function makeBrick(brick: string): Promise<void> {
  const volume = new SmallVolume(`${brick}/data`, () => 0);
  volume.make(ROOT_GFID, "f", FILE);
  volume.write(FILE, 0, new Uint8Array(16_384).fill(1));
  const history = await History.open({
    ...{ directory: `${brick}/.glusterfs/history`, live: volume },
    ...{ durability: "relaxed", env: testEnv() },
  });
  const reader = { id: "1", name: "before", kind: "snapshot", file: undefined } as const;
  await history.take({ ...reader, epoch: 1, created: 0, active: true });
  await history.change(async () => {
    await history.preserve.data(FILE, 0, 8192);
    volume.write(FILE, 0, new Uint8Array(8192).fill(2));
  });
  await history.close();
}

async function inBrick(body: (brick: string, history: string) => Promise<void>): Promise<void> {
  const brick = Deno.makeTempDirSync({ prefix: "check-" });
  try {
    await makeBrick(brick);
    await body(brick, `${brick}/.glusterfs/history`);
  } finally {
    Deno.removeSync(brick, { recursive: true });
  }
}

Deno.test("mortar snapshot check: a sound brick is told so, and one without history", () =>
  inBrick(async (brick, history) => {
    const sound = await mortarCheck(brick);
    equal(sound.err, "");
    match(sound.out, /1 snapshots and clones, \d rows, .*\nAll old data is what was kept\.\n$/);
    equal(sound.code, 0);
    equal(JSON.parse((await mortarCheck(brick, "--json")).out).bytes, 8192);
    Deno.removeSync(history, { recursive: true });
    const none = await mortarCheck(brick);
    equal(none.out, `${brick}: no snapshot was ever taken\n`);
    equal(none.code, 0);
    const nowhere = await mortarCheck(`${brick}/data`);
    match(nowhere.err, /^Cannot check ".*": it is no brick; name a brick's directory\n$/);
    equal(nowhere.code, 1);
  }));

Deno.test("mortar snapshot check: damage is named, with who sees it and what to do", () =>
  inBrick(async (brick, history) => {
    const segment = Deno.openSync(`${history}/segments/1`, { write: true });
    segment.writeSync(Uint8Array.of(9));
    segment.close();
    const index = new DatabaseSync(`${history}/index.sqlite`);
    index.exec(
      "INSERT INTO extent VALUES (1, 100, 1, 1000000000, 0, 0), (1, 5, 1, 1, 1e15, 0), " +
        "(77, 0, 1, 1, -1, 0), (1, 7, 1, 0, 5, 0); " +
        "INSERT INTO inode_version VALUES (1, 9, x'00ff'); INSERT INTO kept VALUES (1, 3)",
    );
    index.close();
    const { code, out, err } = await mortarCheck(brick);
    equal(err, "");
    equal(code, 1);
    for (
      const line of [
        /^damaged: .*a>: bytes 0\+8192 of epoch 1 in segments\/1 are not what was kept; seen by before$/m,
        /^damaged: .*bytes 409600\+4096000000000 of epoch 1 make no sense; seen by before$/m,
        /^damaged: .*are in segments\/3725\d\d\d, which is not there; seen by before$/m,
        /^damaged: .*what it was until epoch 9 cannot be read; seen by before$/m,
        /^damaged: .*kept\/.*\.3 is not there: it had lost its last name; seen by before$/m,
        /^What to do: delete the snapshots that are named; or, /m,
      ]
    ) match(out, line);
    Deno.writeTextFileSync(
      `${history}/index.sqlite`,
      "no database at all, but text of some length",
    );
    const broken = await mortarCheck(brick);
    equal(broken.code, 1);
    match(broken.err, /^Cannot check ".*": the history ".*" cannot be read \(.*\)[^\n]*\n$/);
  }));

Deno.test(`mortar snapshot check: ${FLIPS} damaged indexes end in words`, () =>
  inBrick(async (brick, history) => {
    const random = seeded(5);
    let told = 0;
    for (let flip = 0; flip < FLIPS; flip++) {
      const copy = `${brick}/copy`;
      copyFiles(history, copy);
      const bytes = Deno.readFileSync(`${copy}/index.sqlite`);
      for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] = random(256);
      Deno.writeFileSync(`${copy}/index.sqlite`, bytes);
      try {
        told += (await check(copy)).damage.length ? 1 : 0;
      } catch (error) {
        if (!(error instanceof HistoryError)) throw error;
        told++;
      }
      Deno.removeSync(copy, { recursive: true });
    }
    ok(told > 0, "nothing was noticed");
  }));
