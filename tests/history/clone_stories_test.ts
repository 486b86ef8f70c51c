import { CloneStory } from "tests/history/clone_story.ts";

const SEEDS = Number(Deno.env.get("MORTAR_STORIES") ?? 25), STEPS = 40;

Deno.test(`snapshot/engine: ${SEEDS} random stories of clones, every file is what a copy is`, async () => {
  const root = Deno.makeTempDirSync({ prefix: "clones-" });
  try {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const directory = `${root}/${seed}`;
      await CloneStory.tell(seed, STEPS, directory);
      Deno.removeSync(directory, { recursive: true });
    }
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
