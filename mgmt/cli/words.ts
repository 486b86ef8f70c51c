/** From the words of a command line to a command of the table and typed values for its arguments. */

import { CommandError, UsageError } from "mgmt/cli/command_error.ts";
import {
  type Argument,
  type Arguments,
  type ArgumentTable,
  type ManagedCommand,
  usage,
} from "mgmt/cli/managed.ts";

/** A command line that names no command: which word is wrong, or that words are missing. */
export class UnknownCommand extends CommandError {
  override readonly name = "UnknownCommand";
  constructor(
    message: string,
    /** Index of the word that no command has there; undefined: the words end too early. */
    readonly position: number | undefined,
  ) {
    super(message);
  }
}

/** First words of commands that run where they are typed; they are never asked of the daemon. */
const LOCAL_WORDS = [
  ...["brick", "client", "mgmt", "heal", "file", "qcow2", "completion", "help"] as const,
] as const;

/** Arguments of a command that are not right. */
export class WrongArguments extends UsageError {
  constructor(
    readonly command: ManagedCommand,
    readonly why: string,
    /** A value is wrong, rather than a word missing or one too many: then `why` tells something. */
    readonly value: boolean,
  ) {
    super(`Cannot run "${command.path}": ${why}; usage: ${usage(command)}`);
  }
}

/**
 * The command that `words` begin with, and the words after it. Each word of its path may be
 * shortened as long as it is clear, as in GlusterFS ("vol info"). A longer path goes before a
 * shorter one if its words are spelled out. Throws UnknownCommand.
 */
export function findCommand(
  commands: readonly ManagedCommand[],
  words: readonly string[],
): { readonly command: ManagedCommand; readonly rest: readonly string[] } {
  let left = commands.map((command) => ({ command, path: command.path.split(" ") }));
  let found: { command: ManagedCommand; rest: readonly string[] } | undefined;
  for (let at = 0;; at++) {
    const ended = left.find(({ path }) => path.length === at);
    if (ended) found = { command: ended.command, rest: words.slice(at) };
    const word = words[at];
    const nexts = new Set(left.flatMap(({ path }) => path[at] ?? []));
    const meant = word === undefined ? undefined : meantBy(word, nexts, found !== undefined);
    if (meant !== undefined) left = left.filter(({ path }) => path[at] === meant);
    else if (found) return found;
    else throw unknown(words, at, nexts);
  }
}

// After a whole command a word may be its argument: only the very word leads on.
function meantBy(word: string, words: ReadonlySet<string>, exactly: boolean): string | undefined {
  if (words.has(word)) return word;
  if (exactly || word === "") return undefined;
  const longer = [...words].filter((each) => each.startsWith(word));
  return longer.length === 1 ? longer[0] : undefined;
}

function unknown(words: readonly string[], at: number, nexts: Iterable<string>): UnknownCommand {
  const before = words.slice(0, at), word = words[at];
  const all = ["mortar help", ...before].join(" ");
  if (word === undefined) {
    const line = before.join(" ");
    return new UnknownCommand(
      `Cannot run "${line}": more words are needed; "${all}" lists them`,
      undefined,
    );
  }
  if (at === 0 && LOCAL_WORDS.some((each) => each === word)) {
    return new UnknownCommand(
      `Cannot run "${word}" after other options: it has options of its own; ` +
        `write it first, as in "mortar ${word} …"`,
      at,
    );
  }
  const near = nearest(word, at ? nexts : [...nexts, ...LOCAL_WORDS]);
  const hint = near === undefined ? "" : `; did you mean "${[...before, near].join(" ")}"?`;
  return new UnknownCommand(
    `Cannot run "${[...before, word].join(" ")}": there is no such command${hint || ";"} ` +
      `"${all}" lists what there is`,
    at,
  );
}

/** The word that `word` most likely was meant to be; undefined if none is near. */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  const close = Math.max(1, Math.floor(word.length / 3));
  const ranked = [...words].map((each) => ({ each, far: distance(word, each) }))
    .filter(({ far }) => far <= close).sort((a, b) => a.far - b.far);
  return ranked[0]?.each;
}

// Letters to add, drop, replace, or swap with their neighbour (optimal string alignment).
function distance(from: string, to: string): number {
  const width = to.length + 1;
  const table = new Uint16Array((from.length + 1) * width);
  for (let row = 0; row <= from.length; row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      if (!row || !column) {
        table[at] = row + column;
        continue;
      }
      const same = from[row - 1] === to[column - 1] ? 0 : 1;
      let least = Math.min(
        table[at - 1]! + 1,
        table[at - width]! + 1,
        table[at - width - 1]! + same,
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      if (swapped) least = Math.min(least, table[at - 2 * width - 2]! + 1);
      table[at] = least;
    }
  }
  return table[table.length - 1]!;
}

/** Values for the arguments of `command`. Throws WrongArguments. */
export function readArguments(
  command: ManagedCommand,
  words: readonly string[],
): Arguments<ArgumentTable> {
  const reader = new ArgumentReader(command);
  for (let at = 0; at < words.length;) at += reader.take(words[at]!, words[at + 1]);
  return reader.end();
}

type Named = readonly [name: string, argument: Argument<unknown>];

class ArgumentReader {
  readonly #values: Record<string, unknown> = {};
  readonly #named: readonly Named[];
  readonly #given = new Set<string>();
  #operands: readonly Named[];

  constructor(readonly command: ManagedCommand) {
    const all = Object.entries(command.args);
    for (const [name, { form, many }] of all) {
      this.#values[name] = form === "word" ? false : many ? [] : undefined;
    }
    this.#operands = all.filter(([, { form }]) => form === "operand");
    this.#named = all.filter(([, { form }]) => form !== "operand");
  }

  /** Takes `word`, and `next` if that is its value; answers how many words were taken. */
  take(word: string, next: string | undefined): number {
    const named = this.#find(word);
    const due = this.#operands[0];
    // Required words come first, or a volume could not be called "force".
    const first = due !== undefined && due[1].required && !due[1].many;
    if (named && !(first && parses(due[1], word))) return this.#takeNamed(named, next);
    this.#takeOperand(word);
    return 1;
  }

  /** The values, if nothing is missing. */
  end(): Arguments<ArgumentTable> {
    for (const [name, { label, required, many }] of this.#operands) {
      const none = many && !(this.#values[name] as unknown[]).length;
      if (required && (!many || none)) throw this.#wrong(`${label} is missing`);
    }
    return this.#values;
  }

  #find(word: string): Named | undefined {
    return this.#named.find(([name, { label, many }]) =>
      label.split(" ")[0] === word && (many || !this.#given.has(name))
    );
  }

  #takeNamed([name, argument]: Named, next: string | undefined): number {
    this.#given.add(name);
    if (argument.form === "word") {
      this.#values[name] = true;
      return 1;
    }
    const bare = "bare" in argument && argument.bare !== undefined;
    if (bare && (next === undefined || !parses(argument, next))) {
      this.#values[name] = argument.bare;
      return 1;
    }
    if (next === undefined) throw this.#wrong(`a value is missing: ${argument.label}`);
    const value = this.#parse(argument, next);
    if (argument.many) (this.#values[name] as unknown[]).push(value);
    else this.#values[name] = value;
    return 2;
  }

  // A word that is wrong for an operand which may be missing can be right for one after it.
  #takeOperand(word: string): void {
    for (let at = 0;; at++) {
      const due = this.#operands[at];
      if (!due) {
        const [only] = this.#operands;
        if (only) this.#parse(only[1], word);
        throw this.#wrong(`"${word}" is not expected here`);
      }
      const [name, argument] = due;
      if (argument.many) {
        if (this.#operands.length > at + 1 && !parses(argument, word)) continue;
        (this.#values[name] as unknown[]).push(this.#parse(argument, word));
        this.#operands = this.#operands.slice(at);
        return;
      }
      if (!argument.required && !parses(argument, word)) continue;
      this.#values[name] = this.#parse(argument, word);
      this.#operands = this.#operands.slice(at + 1);
      return;
    }
  }

  #parse(argument: Argument<unknown>, word: string): unknown {
    try {
      return argument.parse(word);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw this.#wrong(`"${word}" for ${argument.label}: ${error.message}`, true);
    }
  }

  #wrong(why: string, value = false): WrongArguments {
    return new WrongArguments(this.command, why, value);
  }
}

function parses(argument: Argument<unknown>, word: string): boolean {
  try {
    argument.parse(word);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
