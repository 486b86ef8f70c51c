/**
 * The program that tests of real processes judge: what `MORTAR` names, an absolute path or one from the
 * root of the project, otherwise the sources here. `deno task test` judges dist/mortar.
 */

const ROOT = new URL("../../", import.meta.url);

/** Its path. */
export const MORTAR: string = new URL(Deno.env.get("MORTAR") ?? "scripts/mortar", ROOT).pathname;

/** Where it is, beside its links `gluster`, `glusterd`, `glusterfsd` and so on. */
export const PROGRAM_DIR: string = new URL(".", `file://${MORTAR}`).pathname.replace(/\/$/, "");
