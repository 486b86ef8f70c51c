/** Answers of commands as they are printed: text for people, XML as GlusterFS has it, JSON. */

import type { Json } from "core/xlator.ts";
import { type CommandError } from "mgmt/cli/command.ts";
import {
  type Arguments,
  type ArgumentTable,
  type ManagedCommand,
  OP_ERRNO,
  type Refusal,
  usage,
  type XmlAnswer,
} from "mgmt/cli/managed.ts";
import { UnknownCommand, WrongArguments } from "mgmt/cli/words.ts";
import { element, printXml } from "mgmt/cli/xml.ts";
import type { Answer, Asked } from "rpc/programs/commands.ts";

type Manners = Pick<Asked, "form" | "manner" | "words">;

/** What a command that succeeded prints. */
export function printAnswer(
  command: ManagedCommand,
  args: Arguments<ArgumentTable>,
  value: Json,
  { form }: Manners,
): Answer {
  const stdout = form === "text"
    ? command.text(value, args)
    : form === "xml"
    ? frame(0, 0, "", command.xml(value, args), command.xmlFirst?.(value, args))
    : json({ ok: true, value });
  const stderr = form === "text" ? command.aside?.(value, args) ?? "" : "";
  return { stdout, stderr, exitCode: 0 };
}

/** What a command that was refused or failed prints. */
export function printFailure(
  command: ManagedCommand,
  args: Arguments<ArgumentTable>,
  refusal: Refusal,
  { form, manner }: Manners,
): Answer {
  const { message, opErrno, exitCode } = refusal;
  if (form === "json") return { stdout: failure(message, opErrno), stderr: "", exitCode };
  if (form === "text") {
    const text = command.failed?.(message, args) ?? message;
    const stdout = manner === "gluster" ? command.closing ?? "" : "";
    return { stdout, stderr: ended(text), exitCode };
  }
  const failed = command.failedXml?.(message, args, refusal);
  return {
    stdout: frame(
      -1,
      // GlusterFS's knows only the one number, but for the few commands that say another.
      failed?.opErrno ??
        (manner === "gluster" && !command.numbered ? OP_ERRNO.internal : opErrno),
      failed?.opErrstr ?? message,
      failed?.elements ?? [],
    ),
    stderr: "",
    // GlusterFS's command line has done its work once it has printed XML, whatever that says.
    exitCode: failed?.exitCode ?? (manner === "gluster" ? 0 : exitCode),
  };
}

/** What a command line prints that names no command, or gives it wrong arguments. */
export function printWrongWords(error: CommandError, { form, manner, words }: Manners): Answer {
  if (manner === "gluster") return asGluster(error, words);
  const { message, exitCode } = error;
  if (form === "json") return { stdout: failure(message, OP_ERRNO.internal), stderr: "", exitCode };
  return { stdout: "", stderr: ended(message), exitCode };
}

/** How GlusterFS's command line is used, in short: it follows what is wrong with a command line. */
export const GLUSTER_USAGE = `
 Usage: gluster [options] <help> <peer> <pool> <volume>
 Options:
 --help                Tells of the commands
 --version             Prints the version
 --print-logdir        Prints where logs are
 --print-statedumpdir  Prints where statedumps are
 --mode=script         Asks no questions
 --xml                 Prints XML

`;

function asGluster(error: CommandError, words: readonly string[]): Answer {
  if (error instanceof UnknownCommand) {
    const { position } = error;
    const what = position === undefined
      ? "unrecognized command"
      : `unrecognized word: ${words[position]} (position ${position})`;
    return { stdout: `${what}\n${GLUSTER_USAGE}`, stderr: "", exitCode: 1 };
  }
  if (error instanceof WrongArguments) {
    const why = error.value ? `${error.why}\n` : "";
    return { stdout: "", stderr: `${why}\nUsage:\n${usage(error.command)}\n\n`, exitCode: 1 };
  }
  return { stdout: "", stderr: ended(error.message), exitCode: 1 };
}

/** The document that all answers in XML are. */
export function frame(
  ret: number,
  errno: number,
  errstr: string,
  inside: XmlAnswer,
  insideFirst = false,
): string {
  const result = [
    element("opRet", ret),
    element("opErrno", errno),
    element("opErrstr", errstr),
  ];
  return printXml(
    element("cliOutput", insideFirst ? [...inside, ...result] : [...result, ...inside]),
  );
}

function failure(message: string, errno: number): string {
  return json({ ok: false, error: { message, errno } });
}

function json(value: Json): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function ended(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
