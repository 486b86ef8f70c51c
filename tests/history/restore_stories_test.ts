import { IS_ROOT } from "tests/fakes/posix_brick.ts";
import { RestoreStory } from "tests/history/restore_story.ts";

const SEEDS = Deno.env.has("MORTAR_LONG") ? 1000 : 10;

Deno.test({
  name:
    `features/snapshot: ${SEEDS} volumes go back to a snapshot, killed or not, and are what they were`,
  ignore: !IS_ROOT,
  fn: async () => {
    const first = Number(Deno.env.get("MORTAR_SEED") ?? 1);
    for (let seed = first; seed < first + SEEDS; seed++) {
      try {
        await RestoreStory.tell(seed);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  },
});
