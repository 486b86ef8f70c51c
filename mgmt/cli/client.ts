/**
 * The command line for managed commands: sends the words to the daemon and prints what comes back.
 * Little is loaded on the way there; help and what to say when nobody answers load the table.
 */

import { call, type Daemon, NoAnswer, NotReached } from "mgmt/cli/call.ts";
import { CommandError, UsageError } from "mgmt/cli/command_error.ts";
import { type Globals, readGlobals } from "mgmt/cli/globals.ts";
import { confirmation, Lines, say } from "mgmt/cli/terminal.ts";
import { defaultHome, GLUSTERD_PLACES, placesUnder } from "mgmt/home.ts";
import { versionLine } from "mgmt/self.ts";
import { RpcError } from "rpc/message.ts";
import type { Answer, Asked, Manner } from "rpc/programs/commands.ts";

/** Where a management daemon listens; `mgmt/endpoints.ts` would load too much. */
const MANAGEMENT_PORT = 24007;

/** The words ask for help instead of a command. */
export class HelpWanted extends Error {
  override readonly name = "HelpWanted";
  constructor(readonly words: readonly string[]) {
    super("help is wanted");
  }
}

/**
 * Runs one command line of ours and answers the exit code. Throws HelpWanted, and CommandError for
 * what to print on standard error.
 */
export async function runLine(argv: readonly string[]): Promise<number> {
  const globals = readGlobals(argv, "mortar");
  if (globals.print === "version") {
    say(versionLine());
    return 0;
  }
  if (globals.print === "help") throw new HelpWanted(globals.words);
  if (!globals.words.length) throw new HelpWanted([]);
  const [first] = globals.words;
  if (first === "help") throw new HelpWanted(globals.words.slice(1));
  if (globals.words[1] === "help") {
    throw new HelpWanted(globals.words.filter((_word, at) => at !== 1));
  }
  return await runWords(globals, "mortar", new Lines());
}

/** Has the daemon carry out the words, asking its question; prints, and answers the exit code. */
export async function runWords(globals: Globals, manner: Manner, input: Lines): Promise<number> {
  const { words, form, script } = globals;
  const asked: Asked = { words, form, manner, confirmed: script };
  let answer = await ask(globals, asked);
  if (answer.question !== undefined) {
    if (!agreed(answer.question, manner, input)) return manner === "gluster" ? 0 : 1;
    answer = await ask(globals, { ...asked, confirmed: true });
  }
  if (answer.stdout !== "") say(answer.stdout);
  if (answer.stderr !== "") say(answer.stderr, Deno.stderr);
  return answer.exitCode;
}

function agreed(question: string, manner: Manner, input: Lines): boolean {
  const to = manner === "gluster" ? Deno.stdout : Deno.stderr;
  say(`${question} (y/n) `, to);
  const answer = confirmation(input.next());
  if (answer === "yes") return true;
  if (answer === "unclear") say("Invalid input, please enter y/n\n", to);
  if (answer === undefined) {
    say("Nothing was done: no answer; --mode=script answers yes\n", to);
  }
  return false;
}

/** Where the daemon is that `globals` mean. Throws UsageError. */
export function daemonOf({ home, socket, remoteHost }: Globals, manner: Manner): Daemon {
  if (socket !== undefined) return { transport: "unix", path: socket };
  if (remoteHost !== undefined) return { transport: "tcp", ...hostAndPort(remoteHost) };
  if (home !== undefined) return { transport: "unix", path: placesUnder(absolute(home)).socket };
  if (manner === "gluster") return { transport: "unix", path: GLUSTERD_PLACES.socket };
  const place = defaultHome({ uid: Deno.uid(), env: (name) => Deno.env.get(name) });
  return { transport: "unix", path: placesUnder(place).socket };
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

function hostAndPort(text: string): { hostname: string; port: number } {
  const match = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? /^([^:]+)(?::(\d{1,5}))?$/.exec(text);
  if (!match && /^[0-9a-f:.]+$/i.test(text)) return { hostname: text, port: MANAGEMENT_PORT };
  const port = Number(match?.[2] ?? MANAGEMENT_PORT);
  if (!match || port < 1 || port > 65535) {
    throw new UsageError(`Cannot use --remote-host "${text}": expected HOST or HOST:PORT`);
  }
  return { hostname: match[1]!, port };
}

/** The daemon's answer. Throws CommandError in our words. */
async function ask(globals: Globals, asked: Asked): Promise<Answer> {
  const daemon = daemonOf(globals, asked.manner);
  const signal = AbortSignal.timeout(globals.timeoutMs);
  try {
    return await call(daemon, asked, signal);
  } catch (error) {
    if (asked.manner === "gluster") throw error;
    throw await unknownThere(error, asked.words) ?? told(error, daemon, asked, globals) ?? error;
  }
}

// A command that there is not is told even where nobody answers.
async function unknownThere(error: unknown, words: readonly string[]) {
  if (!(error instanceof NotReached)) return undefined;
  return (await import("mgmt/commands/unknown_words.ts")).unknownWords(words);
}

function told(
  error: unknown,
  daemon: Daemon,
  { words }: Asked,
  { timeoutMs }: Globals,
): CommandError | undefined {
  const where = daemon.transport === "unix" ? daemon.path : `${daemon.hostname}:${daemon.port}`;
  if (error instanceof NotReached) {
    const remedy = daemon.transport === "unix"
      ? 'start it with "mortar mgmt", or name its place with --home or --socket'
      : "see whether it runs there and listens on that address";
    return new CommandError(
      `Cannot reach the management daemon at ${where}: ${error.message}; ${remedy}`,
    );
  }
  if (error instanceof RpcError) {
    return new CommandError(
      `Cannot use the management daemon at ${where}: it is not mortar's, or of another version; ` +
        "for GlusterFS's use its own command line",
    );
  }
  const late = error instanceof DOMException && error.name === "TimeoutError";
  if (!late && !(error instanceof NoAnswer)) return undefined;
  const why = late ? `no answer within ${timeoutMs / 1000} s` : error.message;
  return new CommandError(
    `Cannot tell how "${
      words.join(" ")
    }" ended: ${why}; it may have been done: look before you try again`,
  );
}
