/** Pages of the manual about commands, from the tables that parse them. */

import { type Command, helpOn } from "../mgmt/cli/command.ts";
import { GLOBAL_OPTIONS } from "../mgmt/cli/globals.ts";
import { type ManagedCommand, usage } from "../mgmt/cli/managed.ts";
import { PREFIX } from "../mgmt/http/routes.ts";

/** docs/manual/commands.md: what the management daemon carries out, and what runs where it is typed. */
export function commandsPage(
  managed: readonly ManagedCommand[],
  local: readonly Command[],
): string {
  return [
    "# Commands",
    "",
    "`mortar COMMAND …`; `mortar help COMMAND` tells the same in a terminal.",
    "",
    "## Options of all commands that the management daemon carries out",
    "",
    "They may stand anywhere on the command line; `--` ends them.",
    "",
    ...rows(
      Object.entries(GLOBAL_OPTIONS).filter(([, { only }]) => only !== "gluster")
        .map(([name, { value, help }]) => [value ? `--${name}=${value}` : `--${name}`, help]),
    ),
    "",
    ...managed.flatMap(managedSection),
    "## Commands that run where they are typed",
    "",
    ...local.flatMap((command) => [
      `### ${command.name}`,
      "",
      `${command.summary}.`,
      "",
      "```text",
      helpOn(command).trimEnd(),
      "```",
      "",
    ]),
  ].join("\n");
}

function managedSection(command: ManagedCommand): string[] {
  const { path, summary, description = [], args, examples, rest, scope } = command;
  const [method, route] = rest.split(" ");
  return [
    `## ${path}`,
    "",
    `${escaped(summary[0]!.toUpperCase() + summary.slice(1))}.`,
    "",
    "```text",
    `mortar ${usage(command)}`,
    "```",
    "",
    ...description.flatMap((paragraph) => [escaped(paragraph), ""]),
    ...(Object.keys(args).length
      ? [
        ...rows(
          Object.values(args).map(({ label, help, many }) => [
            label,
            many ? `${help} May be repeated.` : help,
          ]),
        ),
        "",
      ]
      : []),
    `As REST: \`${method} ${PREFIX}${route}\`. Changes ${
      scope === "nothing" ? "nothing" : scope === "volume" ? "one volume" : "more than one volume"
    }.`,
    "",
    ...(examples.length
      ? ["```sh", ...examples.flatMap(({ what, line }) => [`# ${what}`, line]), "```", ""]
      : []),
  ];
}

function rows(pairs: readonly (readonly [string, string])[]): string[] {
  return [
    "| word | what it means |",
    "| --- | --- |",
    ...pairs.map(([word, help]) => `| \`${word.replaceAll("|", "\\|")}\` | ${escaped(help)} |`),
  ];
}

// What Markdown would take for a tag, or for the end of a cell.
function escaped(text: string): string {
  return text.replaceAll("<", "&lt;").replaceAll("|", "\\|").replaceAll("*", "\\*");
}
