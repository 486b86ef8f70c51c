/**
 * Commands declared once: from the table come parsing, help and the typed values that `run` gets.
 * Exit codes: 0 done, 1 it cannot be done, 2 the command line is wrong.
 */

import { parseArgs } from "node:util";
import { CommandError, UsageError } from "mgmt/cli/command_error.ts";

// Beside their table for who declares commands; apart for who must start fast.
export { CommandError, UsageError };

/** One `--name` of a command. */
export interface OptionDeclaration {
  /** One letter, for `-f`. */
  readonly short?: string;
  /** What stands for the value in help, such as "FILE"; absent: a switch without a value. */
  readonly value?: string;
  /** May be given more than once. */
  readonly many?: true;
  /** The command does not run without it. */
  readonly required?: true;
  /** One sentence for help. */
  readonly help: string;
}

/** Options of a command by name. */
export type OptionDeclarations = Readonly<Record<string, OptionDeclaration>>;

/** What `run` gets for a table of options. */
export type OptionValues<O extends OptionDeclarations> = {
  readonly [K in keyof O]: O[K] extends { value: string }
    ? O[K] extends { many: true } ? readonly string[]
    : O[K] extends { required: true } ? string
    : string | undefined
    : boolean;
};

/** A command line that does something, for help. */
export interface Example {
  readonly what: string;
  readonly line: string;
}

/** Words of a command line that are no options. */
export interface OperandsDeclaration {
  /** What stands for them in help, such as "SOURCE… TARGET". */
  readonly label: string;
  readonly min: number;
  /** As many as are given if absent. */
  readonly max?: number;
}

/** One word after `mortar`, or two: a group and a command of it. */
export interface Command<O extends OptionDeclarations = OptionDeclarations> {
  readonly name: string;
  readonly summary: string;
  /** Paragraphs below the usage line. */
  readonly description: readonly string[];
  readonly options: O;
  /** Absent: none are taken. */
  readonly operands?: OperandsDeclaration;
  readonly examples: readonly Example[];
  /** Does it and answers the exit code. Throws CommandError for what a person should read. */
  run(values: OptionValues<O>, operands: readonly string[]): Promise<number>;
}

/** Declares a command: `run` is typed from `options`. */
export function command<const O extends OptionDeclarations>(declared: Command<O>): Command {
  return declared as unknown as Command;
}

/** What a command line asks for. */
export type Request =
  | { readonly ask: "help"; readonly command?: Command }
  | { readonly ask: "help"; readonly group: string }
  | { readonly ask: "version" }
  | {
    readonly ask: "run";
    readonly command: Command;
    readonly values: OptionValues<never>;
    readonly operands: readonly string[];
  };

/** Reads a command line. Throws CommandError on an unknown command, UsageError on wrong options. */
export function readCommandLine(commands: readonly Command[], argv: readonly string[]): Request {
  const [word] = argv;
  if (word === undefined || word === "--help" || word === "-h") return { ask: "help" };
  if (word === "--version" || word === "-V") return { ask: "version" };
  const asksHelp = word === "help";
  const words = asksHelp ? argv.slice(1) : argv;
  const [name] = words;
  if (name === undefined) return { ask: "help" };
  const grouped = commands.filter((each) => each.name.startsWith(`${name} `));
  if (!grouped.length) return readCommand(commands, name, words.slice(1), asksHelp);
  if (words[1] === undefined || words[1] === "--help" || words[1] === "-h") {
    return { ask: "help", group: name };
  }
  return readCommand(grouped, `${name} ${words[1]}`, words.slice(2), asksHelp);
}

function readCommand(
  commands: readonly Command[],
  name: string,
  rest: readonly string[],
  asksHelp: boolean,
): Request {
  const found = commands.find((each) => each.name === name);
  if (!found) {
    const group = name.includes(" ") ? ` ${name.split(" ")[0]}` : "";
    throw new CommandError(
      `Cannot run "${name}": there is no such command; "mortar${group} --help" lists them`,
    );
  }
  if (asksHelp || rest.includes("--help")) return { ask: "help", command: found };
  return { ask: "run", command: found, ...readOptions(found, rest) };
}

function readOptions(
  command: Command,
  argv: readonly string[],
): { values: OptionValues<never>; operands: readonly string[] } {
  const wrong = (why: string) =>
    new UsageError(
      `Cannot run "mortar ${command.name}": ${why}; see "mortar ${command.name} --help"`,
    );
  const values: Record<string, unknown> = {};
  const operands: string[] = [];
  const { label, min, max = Infinity } = command.operands ?? { label: "", min: 0, max: 0 };
  for (const [name, { value, many }] of Object.entries(command.options)) {
    values[name] = value === undefined ? false : many ? [] : undefined;
  }
  for (const token of tokensOf(command.options, argv)) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      if (operands.length >= max) throw wrong(`"${token.value}" is not expected here`);
      operands.push(token.value);
      continue;
    }
    const option = Object.hasOwn(command.options, token.name)
      ? command.options[token.name]
      : undefined;
    if (!option) throw wrong(`there is no option "${token.rawName}"`);
    if (option.value === undefined) {
      if (token.value !== undefined) throw wrong(`"${token.rawName}" takes no value`);
      values[token.name] = true;
      continue;
    }
    if (token.value === undefined || (!token.inlineValue && token.value.startsWith("-"))) {
      throw wrong(`"${token.rawName}" needs a value, ${option.value}`);
    }
    if (option.many) (values[token.name] as string[]).push(token.value);
    else if (values[token.name] === undefined) values[token.name] = token.value;
    else throw wrong(`"${token.rawName}" is given twice`);
  }
  for (const [name, option] of Object.entries(command.options)) {
    if (option.required && values[name] === undefined) {
      throw wrong(`${nameOf(name, option)} is missing`);
    }
  }
  if (operands.length < min) throw wrong(`expected ${label}`);
  return { values: values as OptionValues<never>, operands };
}

function tokensOf(options: OptionDeclarations, argv: readonly string[]) {
  const table = Object.fromEntries(
    Object.entries(options).map(([name, { short, value }]) => [name, {
      type: value === undefined ? "boolean" as const : "string" as const,
      ...(short === undefined ? {} : { short }),
    }]),
  );
  return parseArgs({ args: [...argv], options: table, strict: false, tokens: true }).tokens;
}

function nameOf(name: string, { short, value }: OptionDeclaration): string {
  return `${short ? `-${short}, ` : ""}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Options of a command as one types them, with what each means. */
export function wordsOf({ options }: Command): (readonly [string, string])[] {
  return Object.entries(options).map(([key, option]) => [
    nameOf(key, option),
    option.many ? `${option.help} May be repeated.` : option.help,
  ]);
}

/** A command line of it, as a pattern. */
export function usageOf({ name, options, operands }: Command): string {
  const required = Object.entries(options).filter(([, option]) => option.required)
    .map(([key, option]) => nameOf(key, option));
  return `mortar ${
    [name, ...required, "[OPTION…]", ...operands ? [operands.label] : []].join(" ")
  }`;
}

/** Help on one command. */
export function helpOn(command: Command): string {
  const { name, summary, description, examples } = command;
  return [
    `mortar ${name}: ${summary}`,
    "",
    `Usage: ${usageOf(command)}`,
    "",
    ...description.flatMap((paragraph) => [...wrapped(paragraph, 80), ""]),
    "Options:",
    ...optionRows(wordsOf(command)),
    "",
    "Examples:",
    ...examples.flatMap(({ what, line }) => [`  # ${what}`, `  ${line}`]),
    "",
  ].join("\n");
}

/** What there is on the left, what it means on the right, in 82 columns. */
export function optionRows(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(34, Math.max(...rows.map(([left]) => left.length)) + 2);
  return rows.flatMap(([left, help]) => {
    const [first, ...more] = wrapped(help, 80 - width);
    const fits = left.length + 2 <= width;
    const head = fits
      ? [`  ${left.padEnd(width)}${first}`]
      : [`  ${left}`, `  ${" ".repeat(width)}${first}`];
    return [...head, ...more.map((line) => `  ${" ".repeat(width)}${line}`)];
  });
}

/** Lines of at most `width` characters, where words are not longer. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line];
}
