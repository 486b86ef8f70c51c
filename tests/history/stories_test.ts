import { Story } from "tests/history/story.ts";

const SEEDS = Number(Deno.env.get("MORTAR_STORIES") ?? 100), STEPS = 40;

Deno.test(`snapshot/engine: ${SEEDS} random stories, every snapshot is what a copy is`, async () => {
  const root = Deno.makeTempDirSync({ prefix: "stories-" });
  try {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const directory = `${root}/${seed}`;
      await Story.tell(seed, STEPS, directory);
      Deno.removeSync(directory, { recursive: true });
    }
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
