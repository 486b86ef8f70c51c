/** The manual's chapter of volume options. */

import { familyOf, VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";
import { NONE } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const INTRODUCTION = `# Volume options

What \`mortar volume set\` can set, by family. An option may be named without its family where only
one family has it. \`mortar volume get VOLUME all\` shows what they are, \`mortar volume reset\` takes
them back. Keys that begin with \`user.\` are free for any use.

"Where" says whose work an option changes: clients, bricks, the self-heal daemon, or the management
daemon; "all" stands for options that are only set for all volumes at once.
`;

const PLACES = { client: "clients", brick: "bricks", heal: "self-heal", daemon: "daemon" } as const;

/** The chapter in Markdown. */
export function volumeOptionsManual(): string {
  const all = [...VOLUME_OPTIONS.values()];
  const there = all.filter(({ fixed }) => fixed === undefined);
  const families = [...new Set(there.map(({ key }) => familyOf(key)))];
  const chapters = families.map((family) =>
    section(family, there.filter(({ key }) => familyOf(key) === family))
  );
  return [INTRODUCTION, ...chapters, absent(all)].join("\n");
}

function section(family: string, options: readonly VolumeOption[]): string {
  const rows = options.map((option) =>
    row([code(option.key), standard(option), option.spec.values, where(option), option.spec.help])
  );
  const head = ["option", "default", "values", "where", "what it does"];
  return [`## ${family}`, "", row(head), row(head.map(() => "---")), ...rows, ""].join("\n");
}

function absent(all: readonly VolumeOption[]): string {
  const rows = all.flatMap((option) =>
    option.fixed === undefined ? [] : [row([code(option.key), standard(option), option.fixed])]
  );
  return [
    "## What is not supported",
    "",
    "These are known, and can be set to their defaults only.",
    "",
    row(["option", "default", "why"]),
    row(["---", "---", "---"]),
    ...rows,
    "",
  ].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function standard({ shown }: VolumeOption): string {
  return shown === NONE || shown === "" ? "" : code(shown);
}

function where({ places, global }: VolumeOption): string {
  const names = places.map((place) => PLACES[place]);
  return [...names, ...global ? ["all"] : []].join(", ") || "nowhere";
}
