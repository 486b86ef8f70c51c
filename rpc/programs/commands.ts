/**
 * Our own command line's program, served by the management daemon beside GlusterFS's: a command line
 * goes as its words, and what comes back is what there is to print. One procedure; both sides are
 * JSON in counted bytes, so that fields can come and go without a new version.
 */

import type { ProgramId, Signature } from "rpc/program.ts";
import { type Codec, opaque, XdrError } from "rpc/xdr.ts";

/** The number is of the range that RFC 5531 §13.1 leaves to users. */
export const COMMANDS_PROGRAM = { number: 0x206d7274, version: 1 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const COMMANDS_NAME = "mortar commands";

/** Bytes of a command line as JSON; within what the daemon's listeners take as a record. */
export const ASKED_MAX = 80 << 10;
/** Bytes of what it prints. */
const ANSWER_MAX = 64 << 20;

const FORMS = ["text", "xml", "json"] as const;
/** How an answer is printed. */
export type Form = typeof FORMS[number];

const MANNERS = ["mortar", "gluster"] as const;
/** Whose habits it follows: ours, or those of GlusterFS's command line. */
export type Manner = typeof MANNERS[number];

/** A command line, as it was typed but for the options that are for the command line itself. */
export interface Asked {
  readonly words: readonly string[];
  readonly form: Form;
  readonly manner: Manner;
  /** Its question was answered with yes, or shall not be asked. */
  readonly confirmed: boolean;
}

/** What there is to print, and the exit code. */
export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
  /** Nothing was done: ask this first, then come again `confirmed`. */
  readonly question?: string;
}

function json<T>(max: number, check: (value: Readonly<Record<string, unknown>>) => T): Codec<T> {
  const bytes = opaque(max);
  return {
    write(to, value) {
      bytes.write(to, new TextEncoder().encode(JSON.stringify(value)));
    },
    read(from) {
      const text = new TextDecoder().decode(bytes.read(from));
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        throw new XdrError("Cannot read command: it is not JSON");
      }
      if (typeof value !== "object" || value === null) throw wrong("object");
      return check(value as Readonly<Record<string, unknown>>);
    },
  };
}

function wrong(field: string): XdrError {
  return new XdrError(`Cannot read command: "${field}" is missing, or not what it should be`);
}

function text(value: unknown, field: string): string {
  if (typeof value !== "string") throw wrong(field);
  return value;
}

function among<T extends string>(value: unknown, all: readonly T[], field: string): T {
  const found = all.find((each) => each === value);
  if (found === undefined) throw wrong(field);
  return found;
}

const asked = json<Asked>(ASKED_MAX, ({ words, form, manner, confirmed }) => {
  if (!Array.isArray(words)) throw wrong("words");
  return {
    words: words.map((word) => text(word, "words")),
    form: among(form, FORMS, "form"),
    manner: among(manner, MANNERS, "manner"),
    confirmed: confirmed === true,
  };
});

const answer = json<Answer>(ANSWER_MAX, ({ stdout, stderr, exitCode, question }) => {
  if (!Number.isInteger(exitCode)) throw wrong("exitCode");
  return {
    stdout: text(stdout, "stdout"),
    stderr: text(stderr, "stderr"),
    exitCode: exitCode as number,
    ...(question === undefined ? {} : { question: text(question, "question") }),
  };
});

/** Carries out a command line. */
export const runCommand: Signature<Asked, Answer> & typeof COMMANDS_PROGRAM = {
  ...COMMANDS_PROGRAM,
  procedure: 1,
  args: asked,
  result: answer,
};
