import { notStrictEqual as different, rejects, strictEqual as equal } from "node:assert/strict";
import type { InodeTable } from "core/inode.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { OwnClients } from "mgmt/snapshots/own_clients.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";
import { IS_ROOT } from "tests/fakes/posix_brick.ts";

const HALF_AN_HOUR_MS = 1_800_000;

/** Clients of a volume that is a directory here. */
class Scene {
  readonly clock = new FakeClock();
  volfile: string | undefined;
  readonly clients = new OwnClients({
    env: testEnv({ clock: this.clock }),
    volfile: () => Promise.resolve(this.volfile),
    server: () => ({ host: "127.0.0.1", port: 1 }),
  });

  constructor(readonly directory: string) {
    this.volfile = this.brick("one");
  }

  brick(name: string): string {
    return `volume ${name}\ntype storage/posix\noption directory ${this.directory}\nend-volume\n`;
  }

  /** What stands for one client. */
  used(): Promise<InodeTable> {
    return this.clients.use("v", ({ inodes }) => Promise.resolve(inodes));
  }
}

function test(name: string, body: (scene: Scene) => Promise<void>): void {
  Deno.test({
    name: `mgmt/snapshots: ${name}`,
    ignore: !IS_ROOT,
    async fn() {
      const scene = new Scene(await Deno.makeTempDir({ prefix: "own-clients-" }));
      try {
        await body(scene);
      } finally {
        await scene.clients.stop();
        await Deno.remove(scene.directory, { recursive: true });
      }
    },
  });
}

test("a client of the daemon is used again while its volfile is the same, and not for ever", async (scene) => {
  const first = await scene.used();
  equal(await scene.used(), first);
  scene.volfile = scene.brick("two");
  const second = await scene.used();
  different(second, first);
  scene.clock.advance(HALF_AN_HOUR_MS);
  const third = await scene.used();
  different(third, second);
  await scene.clients.drop("v");
  different(await scene.used(), third);
});

test("a client that is in use when it is dropped serves until then", async (scene) => {
  const { clients } = scene;
  await clients.use("v", async ({ top, inodes: { root }, call }) => {
    await clients.drop("v");
    equal((await top.stat(call, { inode: root })).stat.gfid, root.gfid);
    scene.clock.advance(HALF_AN_HOUR_MS);
    equal((await top.stat(call, { inode: root })).stat.gfid, root.gfid);
  });
});

test("a volume that cannot be used is an error, and tried again", async (scene) => {
  const { volfile } = scene;
  for (
    const [bad, why] of [
      [undefined, /it is gone/],
      ["volume x\ntype cluster/nothing\nend-volume\n", /needs cluster\/nothing/],
    ] as const
  ) {
    scene.volfile = bad;
    await rejects(scene.used(), (error) => {
      return error instanceof CommandError && why.test(error.message);
    });
  }
  scene.volfile = volfile;
  await scene.used();
});
