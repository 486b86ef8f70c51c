import { IS_ROOT } from "tests/fakes/posix_brick.ts";
import { VolumeCloneStory } from "tests/history/volume_clone_story.ts";

/** How many stories; MORTAR_STORIES tells more. */
const STORIES = Number(Deno.env.get("MORTAR_STORIES") ?? 6);
const FIRST = Number(Deno.env.get("MORTAR_FIRST_STORY") ?? 1);

Deno.test({
  name: `features/clone: ${STORIES} random stories, every clone is what a copy is`,
  ignore: !IS_ROOT,
  fn: async () => {
    for (let seed = FIRST; seed < FIRST + STORIES; seed++) {
      const root = await Deno.makeTempDir({ prefix: "vc-story-" });
      try {
        await VolumeCloneStory.tell(seed, 80, root);
      } finally {
        await Deno.remove(root, { recursive: true });
      }
    }
  },
});
