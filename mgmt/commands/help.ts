/** `mortar help`: tells of commands, those that run here and those that the daemon carries out. */

import { type Command, helpOn, optionRows, wrapped } from "mgmt/cli/command.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import { GLOBAL_OPTIONS } from "mgmt/cli/globals.ts";
import { type ManagedCommand, usage } from "mgmt/cli/managed.ts";
import { nearest } from "mgmt/cli/words.ts";

/** All commands there are. */
export interface AllCommands {
  readonly local: readonly Command[];
  readonly managed: readonly ManagedCommand[];
}

/**
 * Help on what `words` name: all, a group ("volume"), or one command; what follows a command's words
 * is left aside. Throws CommandError if nothing has that name.
 */
export function helpText(all: AllCommands, words: readonly string[], version: string): string {
  const local = firstNamed(all.local.map((each) => [each.name, each] as const), words);
  if (local) return helpOn(local);
  const managed = firstNamed(all.managed.map((each) => [each.path, each] as const), words);
  if (managed) return helpOnManaged(managed);
  const group = words.join(" ");
  const inGroup = (name: string) => group === "" || name.startsWith(`${group} `);
  const rows = [
    ...all.managed.map(({ path, summary }) => [path, summary] as const),
    ...all.local.map(({ name, summary }) => [name, summary] as const),
  ].filter(([name]) => inGroup(name));
  if (!rows.length) throw unknown(all, words);
  return helpOnGroup(rows, group, version);
}

function firstNamed<T>(
  named: readonly (readonly [string, T])[],
  words: readonly string[],
): T | undefined {
  for (let count = words.length; count > 0; count--) {
    const name = words.slice(0, count).join(" ");
    const found = named.find(([each]) => each === name);
    if (found) return found[1];
    // The words of a group, and one more that it does not have: no shorter command is meant.
    if (named.some(([each]) => each.startsWith(`${name} `))) return undefined;
  }
  return undefined;
}

function unknown({ local, managed }: AllCommands, words: readonly string[]): CommandError {
  const names = [...local.map(({ name }) => name), ...managed.map(({ path }) => path)];
  const near = nearest(words.join(" "), [
    ...names,
    ...names.map((name) => name.split(" ")[0]!),
  ]);
  const hint = near === undefined ? "" : `did you mean "${near}"? `;
  return new CommandError(
    `Cannot help with "${words.join(" ")}": there is no such command; ${hint}` +
      '"mortar help" lists them',
  );
}

function helpOnGroup(
  rows: readonly (readonly [string, string])[],
  group: string,
  version: string,
): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  const more = group === "" ? "COMMAND" : `${group} COMMAND`;
  return [
    `mortar ${version}: distributed storage that speaks GlusterFS's protocol`,
    "",
    `Usage: mortar [OPTION…] ${more} [ARGUMENT…]`,
    "",
    "Commands:",
    ...rows.map(([name, summary]) => `  ${name.padEnd(width)}${summary}`),
    "",
    ...(group === "" ? [...globalOptions(), ""] : []),
    '"mortar help COMMAND" tells more of one; "mortar --version" prints the version.',
    "",
  ].join("\n");
}

function globalOptions(): string[] {
  const rows = Object.entries(GLOBAL_OPTIONS).filter(([, { only }]) => only !== "gluster")
    .map(([name, { value, help }]) =>
      [value === "" ? `--${name}` : `--${name}=${value}`, help] as const
    );
  return ["Options of commands that the management daemon carries out:", ...optionRows(rows)];
}

/** Help on one command that the daemon carries out. */
export function helpOnManaged(command: ManagedCommand): string {
  const { path, summary, description = [], args, examples } = command;
  const rows = Object.values(args).map(({ label, help, many }) =>
    [label, many ? `${help} May be repeated.` : help] as const
  );
  return [
    `mortar ${path}: ${summary}`,
    "",
    ...wrapped(`Usage: mortar ${usage(command)}`, 80),
    "",
    ...description.flatMap((paragraph) => [...wrapped(paragraph, 80), ""]),
    ...(rows.length ? ["Arguments:", ...optionRows(rows), ""] : []),
    ...(examples.length
      ? ["Examples:", ...examples.flatMap(({ what, line }) => [`  # ${what}`, `  ${line}`]), ""]
      : []),
  ].join("\n");
}

/** Help as GlusterFS's command line prints it: a line a command; without words, the groups. */
export function glusterHelp(commands: readonly ManagedCommand[], words: readonly string[]): string {
  const groups = [...new Set(commands.map(({ path }) => path.split(" ")[0]!))];
  if (!words.length) {
    const lines = groups.map((group) =>
      ` ${`${group} help`.padEnd(25)}- what there is to "${group}"`
    );
    return `${lines.join("\n")}\n\n`;
  }
  const [group] = words;
  const shown = groups.includes(group!)
    ? commands.filter(({ path }) => isIn(path, group!))
    : commands;
  const head = `gluster ${groups.includes(group!) ? `${group} ` : ""}commands`;
  const lines = shown.map((command) => `${usage(command)} - ${command.summary}`);
  return `\n${head}\n${"=".repeat(head.length)}\n\n${lines.join("\n")}\n\n`;
}

function isIn(path: string, group: string): boolean {
  return path === group || path.startsWith(`${group} `);
}
