import { IS_ROOT } from "tests/fakes/posix_brick.ts";
import { VolumeCloneStory } from "tests/history/volume_clone_story.ts";

const STEPS = 80;
/** The first of MORTAR_STORIES; without that, two, and those that once were told wrong. */
const FIRST = Number(Deno.env.get("MORTAR_FIRST_STORY") ?? 1);
const COUNT = Deno.env.get("MORTAR_STORIES");
const SEEDS = COUNT === undefined
  ? [1, 2, 101, 125, 222]
  : Array.from({ length: Number(COUNT) }, (_, at) => FIRST + at);

Deno.test({
  name: `features/clone: ${SEEDS.length} random stories, every clone is what a copy is`,
  ignore: !IS_ROOT,
  fn: async () => {
    for (const seed of SEEDS) {
      const root = await Deno.makeTempDir({ prefix: "vc-story-" });
      try {
        await VolumeCloneStory.tell(seed, STEPS, root);
      } finally {
        await Deno.remove(root, { recursive: true });
      }
    }
  },
});
