/**
 * Writes what the option tables say: the option section of every translator's README, between
 * `<!-- options:begin -->` and `<!-- options:end -->`, and docs/manual/. With `--check` nothing is
 * written and a file that would change is an error.
 */

// deno-lint-ignore-file no-console -- a command's output

import type { OptionTable } from "../core/options.ts";
import type { XlatorType } from "../core/registry.ts";
import { everyCommand } from "../main.ts";
import { volumeOptionsManual } from "../mgmt/volume_options/manual.ts";
import { XLATORS } from "../xlators/mod.ts";
import { commandsPage } from "./manual.ts";

const BEGIN = "<!-- options:begin -->", END = "<!-- options:end -->";

/** A table of options in Markdown; a sentence where there are none. */
export function optionSection(options: OptionTable): string {
  const rows = Object.entries(options);
  if (!rows.length) return "It has no options.";
  return [
    "| option | in `volume set` | default | values | what it does |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map(([name, option]) => {
      const standard = option.default === undefined ? "" : `\`${option.print(option.default)}\``;
      const help = option.help +
        (option.live ? "" : " Takes effect when the brick is started again.");
      return `| \`${name}\` | ${option.volumeKey ? `\`${option.volumeKey}\`` : ""} | ${
        standard === "``" ? "" : standard
      } | ${option.values.replaceAll("|", "\\|")} | ${help.replaceAll("|", "\\|")} |`;
    }),
  ].join("\n");
}

function manual(types: readonly XlatorType[]): string {
  const parts = types.map((type) =>
    `## ${type.type}\n\n${type.summary}.\n\n${optionSection(type.options)}\n`
  );
  return `# Translators\n\nWhat a volfile's \`type\` line can name, with the options of each.\n\n${
    parts.join("\n")
  }`;
}

function readmeOf(type: XlatorType): { path: string; text: string } {
  const path = `xlators/${type.type}/README.md`;
  const old = Deno.readTextFileSync(path);
  const begin = old.indexOf(BEGIN), end = old.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`Cannot write options into ${path}: no markers`);
  const text = `${old.slice(0, begin + BEGIN.length)}\n\n${optionSection(type.options)}\n\n${
    old.slice(end)
  }`;
  return { path, text };
}

if (import.meta.main) {
  const { managed, local } = await everyCommand();
  const wanted = [
    ...XLATORS.map(readmeOf),
    { path: "docs/manual/xlators.md", text: manual(XLATORS) },
    { path: "docs/manual/commands.md", text: commandsPage(managed, local) },
    { path: "docs/manual/volume-options.md", text: volumeOptionsManual() },
  ];
  const check = Deno.args.includes("--check");
  let stale = 0;
  for (const { path, text } of wanted) {
    const formatted = await format(text);
    let old = "";
    try {
      old = Deno.readTextFileSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    if (old === formatted) continue;
    if (!check) Deno.writeTextFileSync(path, formatted);
    else {
      stale++;
      console.error(`${path}: not what the option tables say: run "deno task docs"`);
    }
  }
  if (stale) Deno.exit(1);
}

/** Markdown as `deno fmt` leaves it, so that both commands agree. */
async function format(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "--line-width", "100", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout);
}
