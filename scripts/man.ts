/** Man pages from the tables that parse command lines and options, as docs/manual is. */

import { type Command, usageOf, wordsOf } from "mgmt/cli/command.ts";
import { GLOBAL_OPTIONS } from "mgmt/cli/globals.ts";
import { type ManagedCommand, usage } from "mgmt/cli/managed.ts";
import { VERSION } from "mgmt/version.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";

/** One command, whoever carries it out. */
interface Described {
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  readonly paragraphs: readonly string[];
  /** Arguments and options, with what each means. */
  readonly words: readonly (readonly [string, string])[];
  readonly examples: readonly { readonly what: string; readonly line: string }[];
}

type Pairs = readonly (readonly [string, string])[];

function ofManaged(command: ManagedCommand): Described {
  const { path, summary, description = [], args, examples } = command;
  return {
    name: path,
    summary,
    usage: `mortar ${usage(command)}`,
    paragraphs: description,
    words: Object.values(args).map(({ label, help, many }) =>
      [label, many ? `${help} May be repeated.` : help] as const
    ),
    examples,
  };
}

function ofLocal(command: Command): Described {
  const { name, summary, description, examples } = command;
  const words = wordsOf(command);
  return { name, summary, usage: usageOf(command), paragraphs: description, words, examples };
}

/** Pages by file name: mortar.1, one for each first word of commands, mortar-volume-options.7. */
export function manPages(
  all: { readonly managed: readonly ManagedCommand[]; readonly local: readonly Command[] },
): ReadonlyMap<string, string> {
  const commands = [...all.managed.map(ofManaged), ...all.local.map(ofLocal)];
  const groups = Map.groupBy(commands, ({ name }) => name.split(" ")[0]!.replaceAll(":", ""));
  return new Map([
    ["mortar.1", overview(commands, [...groups.keys()])],
    ...[...groups].map(([group, members]) =>
      [`mortar-${group}.1`, groupPage(group, members)] as const
    ),
    ["mortar-volume-options.7", optionsPage()],
  ]);
}

function overview(commands: readonly Described[], groups: readonly string[]): string {
  const globals = Object.entries(GLOBAL_OPTIONS).filter(([, { only }]) => only !== "gluster");
  return page("mortar", 1, "distributed storage that speaks GlusterFS's protocol", [
    ".SH SYNOPSIS",
    text("mortar [OPTION…] COMMAND [ARGUMENT…]"),
    ".SH COMMANDS",
    ...tagged(commands.map(({ name, summary }) => [name, sentence(summary)])),
    ".SH OPTIONS",
    text("Of all commands that the management daemon carries out:"),
    ...tagged(
      globals.map(([name, { value, help }]) => [value ? `--${name}=${value}` : `--${name}`, help]),
    ),
    ".SH SEE ALSO",
    [...groups.map((group) => `mortar-${group}`).sort()].map((name) => `.BR ${text(name)} (1),`)
      .join("\n"),
    `.BR ${text("mortar-volume-options")} (7)`,
  ]);
}

function groupPage(group: string, commands: readonly Described[]): string {
  const single = commands.length === 1 && commands[0]!.name === group;
  const summary = single ? commands[0]!.summary : `commands that begin with "${group}"`;
  return page(`mortar-${group}`, 1, summary, [
    ".SH SYNOPSIS",
    ...commands.flatMap(({ usage }) => [text(usage), ".br"]).slice(0, -1),
    ".SH DESCRIPTION",
    ...commands.flatMap(({ name, summary, paragraphs, words, examples }) => [
      ...(single ? [] : [`.SS ${quoted(name)}`]),
      text(sentence(summary)),
      ...paragraphs.flatMap((each) => [".PP", text(each)]),
      ...tagged(words),
      ...examples.flatMap((
        { what, line },
      ) => [".PP", text(`${what}:`), ".EX", `  ${text(line)}`, ".EE"]),
    ]),
    ".SH SEE ALSO",
    ".BR mortar (1)",
  ]);
}

function optionsPage(): string {
  const options = [...VOLUME_OPTIONS.values()].filter(({ fixed }) => fixed === undefined);
  return page("mortar-volume-options", 7, "what mortar volume set can set", [
    ".SH OPTIONS",
    ...tagged(options.map(({ key, spec }) => [key, `${spec.help} Values: ${spec.values}.`])),
    ".SH SEE ALSO",
    ".BR mortar\\-volume (1)",
  ]);
}

function page(name: string, section: number, summary: string, lines: readonly string[]): string {
  return [
    `.TH ${text(name.toUpperCase())} ${section} "" "mortar ${VERSION}" "mortar"`,
    ".ad l",
    ".nh",
    ".SH NAME",
    `${text(name)} \\- ${text(summary[0]!.toLowerCase() + summary.slice(1).replace(/\.$/, ""))}`,
    ...lines,
    "",
  ].join("\n");
}

function tagged(pairs: Pairs): string[] {
  return pairs.flatMap(([word, help]) => [".TP", `.B ${quoted(word)}`, text(help)]);
}

function sentence(summary: string): string {
  return `${summary[0]!.toUpperCase()}${summary.slice(1).replace(/\.$/, "")}.`;
}

function quoted(words: string): string {
  return `"${text(words).replaceAll('"', "\\(dq")}"`;
}

/** As roff prints it unchanged: nothing in it is a request, a dash is what one types. */
export function text(plain: string): string {
  return plain
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    // A line may be broken behind it.
    .replaceAll("|", "|\\:")
    .replace(
      /[^\n -~]/gu,
      (each) => `\\[u${each.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    )
    .replace(/^([.'])/gm, "\\&$1");
}
