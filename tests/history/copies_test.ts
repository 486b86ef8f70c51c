import { exists } from "core/lib/files.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { Story } from "tests/history/story.ts";
import { inTurns } from "tests/history/turns.ts";

const SEEDS = Number(Deno.env.get("MORTAR_STORIES") ?? 200), STEPS = 20, TURNS = 300;

Deno.test(`snapshot/engine: ${SEEDS} random stories go to another copy of the brick as they are`, async () => {
  const dir = "/dev/shm";
  const root = Deno.makeTempDirSync({ prefix: "copies-", ...exists(dir) ? { dir } : {} });
  try {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const directory = `${root}/${seed}`;
      using _turns = seed % 4 ? inTurns(seeded(seed), TURNS) : undefined;
      await Story.tell(seed, STEPS, directory, { copies: true });
      Deno.removeSync(directory, { recursive: true });
    }
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
