/**
 * Commands that the management daemon carries out, declared once: words of a command line, REST
 * path, help, completion, manual and the way its value is printed all come from the declaration.
 *
 * A command line is the command's words, then its arguments in the order of the table: operands are
 * filled from left to right, and one that may be missing is passed over for a word that is wrong for
 * it; words ("force") and keywords ("replica 2") may stand anywhere after the operands that are
 * required and not `many`. `mgmt/cli/words.ts` reads them.
 */

import type { Json } from "core/xlator.ts";
import type { Example } from "mgmt/cli/command.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { XmlElement } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";

/** One argument. `T` is what the command gets. */
export interface Argument<T> {
  readonly form: "operand" | "word" | "keyword";
  /** For usage: "<VOLNAME>", or the word itself. */
  readonly label: string;
  readonly help: string;
  readonly required: boolean;
  /** May be given more than once: then the command gets a list. */
  readonly many: boolean;
  /** What completion offers: a kind of thing that there is, or fixed words. */
  readonly offers?: "volume" | "option" | "brick" | "snapshot" | readonly string[] | undefined;
  /** Of a keyword: what it stands for alone, where the next word is no value for it. */
  readonly bare?: unknown;
  /** One value from one word. Throws RangeError saying what is expected. */
  parse(word: string): unknown;
  /** Only for types. */
  readonly type?: T;
}

/** Arguments of a command by name, in the order of the command line. */
// deno-lint-ignore no-explicit-any -- the types are inferred per table by `Arguments`
export type ArgumentTable = Readonly<Record<string, Argument<any>>>;

/** What a command gets for its table. */
export type Arguments<A extends ArgumentTable> = {
  readonly [K in keyof A]: A[K] extends Argument<infer T> ? T : never;
};

interface OperandOptions<T> {
  readonly help: string;
  readonly parse?: (word: string) => T;
  readonly offers?: Argument<T>["offers"];
}

function argument<T>(
  form: Argument<T>["form"],
  label: string,
  { help, parse, offers }: OperandOptions<unknown>,
  { required = false, many = false } = {},
): Argument<T> {
  return { form, label, help, required, many, offers, parse: parse ?? ((word) => word) };
}

/** A word that must be there. `label` is for usage, such as "<VOLNAME>". */
export function operand<T = string>(label: string, options: OperandOptions<T>): Argument<T> {
  return argument("operand", label, options, { required: true });
}

/** A word that may be there. */
export function optional<T = string>(
  label: string,
  options: OperandOptions<T>,
): Argument<T | undefined> {
  return argument("operand", label, options);
}

/** One word or more; `required: false`: none is right, too. */
export function operands<T = string>(
  label: string,
  { required = true, ...options }: OperandOptions<T> & { readonly required?: boolean },
): Argument<readonly T[]> {
  return argument("operand", label, options, { required, many: true });
}

/** A word that stands for itself: true if it is there. */
export function word(label: string, help: string): Argument<boolean> {
  return argument("word", label, { help, offers: [label] });
}

/** A word and a value after it: "replica 2". `label` of the value is for usage, such as "<COUNT>". */
export function keyword<T = string>(
  name: string,
  label: string,
  options: OperandOptions<T>,
): Argument<T | undefined> {
  return argument("keyword", `${name} ${label}`, options);
}

/** A keyword whose value may be left out: "disperse 6" or "disperse", which then means `bare`. */
export function keywordOrBare<T>(
  name: string,
  label: string,
  bare: T,
  options: OperandOptions<T>,
): Argument<T | undefined> {
  return { ...argument("keyword", `${name} [${label}]`, options), bare };
}

/** An operand that is one of a few words. */
export function choice<const W extends string>(
  words: readonly W[],
  help: string,
): Argument<W> {
  return operand(`{${words.join("|")}}`, { help, offers: words, parse: among(words) });
}

/** The same, that may be missing. */
export function optionalChoice<const W extends string>(
  words: readonly W[],
  help: string,
): Argument<W | undefined> {
  return optional(`[${words.join("|")}]`, { help, offers: words, parse: among(words) });
}

function among<W extends string>(words: readonly W[]): (word: string) => W {
  return (word) => {
    const found = words.find((each) => each === word);
    if (found === undefined) throw new RangeError(`expected one of ${words.join(", ")}`);
    return found;
  };
}

/** A whole number. */
export function wholeNumber(word: string): number {
  if (!/^\d{1,9}$/.test(word)) throw new RangeError("expected a whole number");
  return Number(word);
}

/** The name of a volume that is there, or will be. */
export const volumeName: Argument<string> = operand("<VOLNAME>", {
  help: "Name of the volume.",
  offers: "volume",
});

/** GlusterFS's numbers for what went wrong (`EG_*` in glusterd-errno.h), as `--xml` shows them. */
export const OP_ERRNO = {
  internal: 30800,
  noVolume: 30806,
  volumeExists: 30801,
} as const;

/** A command is refused, or failed: the text alone says what, why and what to do. */
export class Refusal extends CommandError {
  override readonly name = "Refusal";
  constructor(
    message: string,
    /** For `--xml`. */
    readonly opErrno: number = OP_ERRNO.internal,
    /** For the exit code where it is another than 1. */
    override readonly exitCode: number = 1,
  ) {
    super(message);
  }
}

/** What a command answers in `--xml`, without what all answers have. */
export type XmlAnswer = readonly XmlElement[];

/** A failure as `--xml` shows it: opRet -1, and this. */
export interface FailedXml {
  /** Absent: as the Refusal has it. */
  readonly opErrno?: number;
  readonly opErrstr?: string;
  /** Behind the three. */
  readonly elements: XmlAnswer;
  /** Of the process; absent: the Refusal's, 0 where we are called as `gluster`. */
  readonly exitCode?: number;
}

/** A command: see the head of this file. */
export interface ManagedCommand<A extends ArgumentTable = ArgumentTable, R extends Json = Json> {
  /** Its words: "volume start". */
  readonly path: string;
  readonly summary: string;
  /** Paragraphs below the usage line. */
  readonly description?: readonly string[];
  readonly args: A;
  /**
   * What it changes: nothing; the volume that `args.volume` names; anything. One command at a time
   * changes a volume; others wait a moment, then fail with a clear line.
   */
  readonly scope: "nothing" | "volume" | "all";
  /** Method and path under /v1, such as "POST /volumes/{volume}/start"; the other arguments are its body or query. */
  readonly rest: string;
  readonly examples: readonly Example[];
  /** A question to answer yes to before it is done, in a terminal. */
  readonly question?: (
    args: Arguments<A>,
    cluster: Cluster,
  ) => string | undefined | Promise<string | undefined>;
  /**
   * Only for who is on this machine, although nothing changes: it writes files here, has a brick
   * work, or tells secrets. Commands that change something always are.
   */
  readonly localOnly?: true;
  /** Throws Refusal if it cannot be done. Changes nothing. */
  check?(cluster: Cluster, args: Arguments<A>): void | Promise<void>;
  /** Does it. May run again after a crash. Throws Refusal. */
  apply(cluster: Cluster, args: Arguments<A>): R | Promise<R>;
  /** What a person reads, newline at its end. */
  text(value: R, args: Arguments<A>): string;
  /** What a person reads besides, on standard error, newline at its end; absent or "": nothing. */
  aside?(value: R, args: Arguments<A>): string;
  xml(value: R, args: Arguments<A>): XmlAnswer;
  /** True: the answer stands before opRet, opErrno and opErrstr in `--xml`; absent: behind them. */
  xmlFirst?(value: R, args: Arguments<A>): boolean;
  /** What a person reads on failure, such as "volume start: v1: failed: …"; absent: the message alone. */
  failed?(message: string, args: Arguments<A>): string;
  /** A line that GlusterFS prints on standard output after a failure, newline at its end. */
  readonly closing?: string;
  /** GlusterFS's own number for what is wrong is in its `--xml`, too, instead of the general one. */
  readonly numbered?: true;
  /**
   * The failure in `--xml`; absent: number and message alone, and the Refusal's exit code (0 where
   * we are called as `gluster`, which ends well once it has printed XML).
   */
  failedXml?(message: string, args: Arguments<A>, refusal: Refusal): FailedXml;
}

/** Declares a command: all functions are typed from `args`. */
export function managed<const A extends ArgumentTable, R extends Json>(
  declared: ManagedCommand<A, R>,
): ManagedCommand {
  return declared as unknown as ManagedCommand;
}

/** "volume start <VOLNAME> [force]". */
export function usage({ path, args }: ManagedCommand): string {
  const words = Object.values(args).map(({ form, label, required, many }) => {
    const repeated = many ? `${label} ...` : label;
    const bracketed = label.startsWith("[") || label.startsWith("{");
    return form === "operand" && (required || bracketed) ? repeated : `[${repeated}]`;
  });
  return [path, ...words].join(" ");
}
