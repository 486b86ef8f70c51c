/** Sequences that a random run meets once in a hundred thousand seeds, told step by step. */

import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { isDirectory } from "core/iatt.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { newGfid } from "tests/conformance/place.ts";
import type { SimClient } from "tests/sim/client.ts";
import { checkCopies } from "tests/sim/copies.ts";
import { SimHealer } from "tests/sim/healer.ts";
import { Sim } from "tests/sim/sim.ts";
import { REPLICA_3, REPLICA_3_GRANULAR, type System } from "tests/sim/systems.ts";
import { drawSwarm, World } from "tests/sim/world.ts";
import { countsBytes } from "xlators/cluster/replicate/blame.ts";
import { NAME_DIFFERS } from "xlators/cluster/replicate/send_marks.ts";

/** Longer than a client takes to find a brick again. */
const FOUND_MS = 5000;

/** Three copies without faults of their own, and one client. */
class Story {
  private constructor(readonly world: World, readonly client: SimClient) {}

  static async play(system: System, tell: (story: Story) => Promise<void>): Promise<void> {
    const sim = new Sim(1);
    const world = new World(sim, system, drawSwarm(sim, system));
    await sim.run(async () => {
      for (const brick of world.bricks) await brick.start();
      const client = await world.client();
      await client.volume.mkdir("/d");
      await tell(new Story(world, client));
      for (const each of world.clients) await each.stop();
    });
  }

  /** Brick `index` is away while `act` goes on. */
  async without(index: number, act: () => Promise<void>): Promise<void> {
    const brick = this.world.bricks[index]!;
    brick.crash();
    await act();
    await brick.start();
    await this.world.sim.delay(FOUND_MS);
  }

  /** Makes a file that holds its own name, and answers its inode's number. */
  async make(name: string): Promise<string> {
    const { volume } = this.client;
    await volume.writeFile(`/d/${name}`, new TextEncoder().encode(name));
    return (await volume.lstat(`/d/${name}`)).gfid;
  }

  async remove(name: string): Promise<void> {
    await this.client.volume.unlink(`/d/${name}`);
  }

  async names(client = this.client): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of client.volume.readDir("/d")) names.push(name);
    return names.sort();
  }

  /** A client that dies makes a file on one copy alone, which it had marked for that. */
  async makeHalf(name: string, index: number): Promise<void> {
    const link = this.client.links[index]!;
    const { root } = this.client.graph.inodes;
    const { stat } = await link.lookup(ROOT, { parent: root, name: "d" });
    const parent = this.client.graph.inodes.of(stat.gfid);
    const marks = [["trusted.afr.dirty", ptr(countsBytes({ entry: 1 }))]] as const;
    const xdata = withKey(undefined, NAME_DIFFERS, name);
    await link.xattrop(ROOT, { inode: parent, op: "add32", xattrs: Xdata.of(marks), xdata });
    const gfid = withKey(undefined, GFID_REQ, newGfid());
    await link.mknod(ROOT, { parent, name, mode: 0o644, umask: 0, rdev: 0, xdata: gfid });
  }

  async heal(): Promise<void> {
    await (await SimHealer.start(this.world, "healer")).healAll();
    checkCopies(this.world);
  }
}

/** All three copies miss something, each in its turn, and nobody heals in between. */
async function eachMissesOne(story: Story): Promise<string> {
  let again = "";
  for (const name of ["again", "removed", "kept"]) await story.make(name);
  await story.without(2, async () => {
    await story.remove("again");
    await story.remove("removed");
    again = await story.make("again");
  });
  await story.without(0, async () => void await story.make("second"));
  await story.without(1, async () => void await story.make("third"));
  return again;
}

Deno.test("sim story: a directory of which every copy missed something has each name as most copies have it", async () => {
  await Story.play(REPLICA_3_GRANULAR, async (story) => {
    const again = await eachMissesOne(story);
    await story.heal();
    deepEqual(await story.names(await story.world.client()), ["again", "kept", "second", "third"]);
    equal((await story.client.volume.lstat("/d/again")).gfid, again);
  });
});

Deno.test("sim story: where no changed names are noted, such a directory loses none", async () => {
  await Story.play(REPLICA_3, async (story) => {
    const again = await eachMissesOne(story);
    await story.heal();
    const names = ["again", "kept", "removed", "second", "third"];
    deepEqual(await story.names(await story.world.client()), names);
    equal((await story.client.volume.lstat("/d/again")).gfid, again);
  });
});

Deno.test("sim story: before such a directory is healed, a name is what most copies say", async () => {
  await Story.play(REPLICA_3, async (story) => {
    const again = await eachMissesOne(story);
    const fresh = await story.world.client();
    equal((await fresh.volume.lstat("/d/again")).gfid, again);
    await story.heal();
  });
});

Deno.test("sim story: such a directory waits for all copies, so that nothing comes back", async () => {
  await Story.play(REPLICA_3_GRANULAR, async (story) => {
    await eachMissesOne(story);
    await story.without(0, async () => {
      await (await SimHealer.start(story.world, "early")).healOnce();
    });
    await story.heal();
    deepEqual(await story.names(), ["again", "kept", "second", "third"]);
  });
});

Deno.test("sim story: what only a copy that is blamed noted as changed is healed as well", async () => {
  await Story.play(REPLICA_3_GRANULAR, async (story) => {
    await story.make("kept");
    await story.without(2, async () => void await story.make("missed"));
    await story.makeHalf("half", 2);
    await story.heal();
    deepEqual(await story.names(), ["kept", "missed"]);
  });
});

Deno.test("sim story: a change that too few copies could take part in is not begun on any", async () => {
  await Story.play(REPLICA_3_GRANULAR, async (story) => {
    const { volume } = story.client;
    await story.make("twice");
    await story.without(1, async () => {
      await story.remove("twice");
      await volume.mkdir("/d/twice");
    });
    await story.without(2, async () => {
      equal(isDirectory(await volume.lstat("/d/twice")), true);
      await rejects(volume.rmdir("/d/twice"), { code: "ENOTCONN" });
    });
    equal(isDirectory(await volume.lstat("/d/twice")), true);
    await story.heal();
  });
});
