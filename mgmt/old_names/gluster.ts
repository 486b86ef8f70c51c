/** Called as `gluster`: GlusterFS's command line, with its options, sentences and exit codes. */

import { NoAnswer, NotReached } from "mgmt/cli/call.ts";
import { runWords } from "mgmt/cli/client.ts";
import { UsageError } from "mgmt/cli/command_error.ts";
import { type Globals, readGlobals, UnknownOption } from "mgmt/cli/globals.ts";
import { Lines, say } from "mgmt/cli/terminal.ts";
import { GLUSTERD_PLACES } from "mgmt/home.ts";
import { VERSION } from "mgmt/version.ts";
import { RpcError } from "rpc/message.ts";

/** The release whose command line this is; tools take it from the first line of `--version`. */
const GLUSTERFS = "10.3";

/** Commands that --wignore makes "force" of, as GlusterFS's command line does. */
const FORCED = ["create", "add-brick"];

/** Runs it; answers the exit code. Throws nothing that a person should read. */
export async function gluster(argv: readonly string[]): Promise<number> {
  try {
    const globals = readGlobals(argv, "gluster");
    if (globals.print !== undefined) return await printed(globals);
    const input = new Lines();
    if (globals.words.length) return await runOne(globals, input);
    return await prompt(globals, input);
  } catch (error) {
    if (error instanceof UnknownOption) {
      const { GLUSTER_USAGE } = await import("mgmt/cli/printed.ts");
      say(`unrecognized option --${error.message}\n${GLUSTER_USAGE}`);
      return 255;
    }
    if (!(error instanceof UsageError)) throw error;
    say(`${error.message}\n`, Deno.stderr);
    return 254;
  }
}

async function printed({ print }: Globals): Promise<number> {
  switch (print) {
    case "version":
      say(`glusterfs ${GLUSTERFS}\nmortar ${VERSION}, in the manner of glusterfs ${GLUSTERFS}\n`);
      return 0;
    case "logdir":
      say(`${GLUSTERD_PLACES.logs}\n`);
      return 0;
    case "statedumpdir":
      say(`${GLUSTERD_PLACES.run}\n`);
      return 0;
    default:
      return await help([]);
  }
}

// `help`, `volume help`, `peer help`: these need no daemon.
async function help(words: readonly string[]): Promise<number> {
  const [{ glusterHelp }, { MANAGED }] = await Promise.all([
    import("mgmt/commands/help.ts"),
    import("mgmt/commands/mod.ts"),
  ]);
  say(glusterHelp(MANAGED, words));
  return 0;
}

async function runOne(globals: Globals, input: Lines): Promise<number> {
  const { words } = globals;
  if (words[0] === "help") return await help(words.slice(1));
  if (words[1] === "help") return await help(words.slice(0, 1));
  if (words[0] === "quit" || words[0] === "exit") Deno.exit(0);
  try {
    return await runWords({ ...globals, words: wordsToSend(globals) }, "gluster", input);
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    if (late || error instanceof NoAnswer) {
      say("Error : Request timed out\n");
      return 1;
    }
    if (!(error instanceof NotReached || error instanceof RpcError)) throw error;
    if (await saysWhatIsWrong(words)) return 1;
    say("Connection failed. Please check if gluster daemon is operational.\n");
    return 1;
  }
}

/** A command's words with what options of the command line itself add to them. */
export function wordsToSend({ words, ignoreWarnings }: Globals): readonly string[] {
  const [noun = "", verb = ""] = words;
  // Words may be cut short; those of other commands begin otherwise, or are refused as not clear.
  const forced = ignoreWarnings && noun !== "" && "volume".startsWith(noun) && verb !== "" &&
    FORCED.some((each) => each.startsWith(verb));
  return forced && words.at(-1) !== "force" ? [...words, "force"] : words;
}

// A command that there is not is told even where nobody answers.
async function saysWhatIsWrong(words: readonly string[]): Promise<boolean> {
  const { unknownWords } = await import("mgmt/commands/unknown_words.ts");
  const error = unknownWords(words);
  if (!error) return false;
  const { printWrongWords } = await import("mgmt/cli/printed.ts");
  say(printWrongWords(error, { form: "text", manner: "gluster", words }).stdout);
  return true;
}

// Without words: a prompt in a terminal; what comes from a file or a pipe is a script, which its
// first failure ends.
async function prompt(globals: Globals, input: Lines): Promise<number> {
  const terminal = Deno.stdin.isTerminal();
  say('Commands of gluster, one a line; "help" lists them, "quit" ends this\n', Deno.stderr);
  for (;;) {
    if (terminal) say("gluster> ");
    const line = input.next();
    if (line === undefined) return 0;
    const words = line.split(/\s+/).filter((word) => word !== "");
    if (!words.length) continue;
    const code = await runOne({ ...globals, words, script: globals.script || !terminal }, input);
    if (code !== 0 && !terminal) return code;
  }
}
