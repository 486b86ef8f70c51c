/** What a command line may go on with: words, options and keywords of the tables, names of volumes and bricks. */

import { call } from "mgmt/cli/call.ts";
import { daemonOf } from "mgmt/cli/client.ts";
import type { Command } from "mgmt/cli/command.ts";
import { GLOBAL_OPTIONS, type Globals, readGlobals } from "mgmt/cli/globals.ts";
import type { Argument, ManagedCommand } from "mgmt/cli/managed.ts";
import { findCommand, UnknownCommand } from "mgmt/cli/words.ts";
import type { AllCommands } from "mgmt/commands/help.ts";

/** Shells that we have scripts for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** How long completion waits for the daemon: longer, and no names are offered. */
const PATIENCE_MS = 1000;
const NAMES_MAX = 2000;

type Candidate = readonly [word: string, what: string];

/**
 * Candidates for the last of `words`, each "WORD<tab>WHAT IT IS". `words` are those after "mortar"; the last
 * one, perhaps "", is under the cursor.
 */
export async function completions(all: AllCommands, words: readonly string[]): Promise<string[]> {
  const last = words.at(-1) ?? "";
  const candidates = await candidatesFor(all, words.slice(0, -1), last);
  return [...new Map(candidates)].filter(([word]) => word.startsWith(last)).slice(0, NAMES_MAX)
    .map(([word, what]) => `${word}\t${what.replaceAll(/\s+/g, " ")}`);
}

async function candidatesFor(
  { local, managed }: AllCommands,
  before: readonly string[],
  last: string,
): Promise<Candidate[]> {
  const own = local.find(({ name }) => `${before.join(" ")} `.startsWith(`${name} `));
  if (own) return ownOptions(own, last);
  let globals: Globals;
  try {
    globals = readGlobals(before, "mortar");
  } catch {
    return [];
  }
  const { words } = globals;
  const options: Candidate[] = last.startsWith("-") ? globalOptions() : [];
  const help = words[0] === "help";
  const path = help ? words.slice(1) : words;
  const nexts = [
    ...nextWords(path, managed.map(({ path, summary }) => [path, summary])),
    ...nextWords(path, local.map(({ name, summary }) => [name, summary])),
  ];
  if (!words.length) nexts.push(["help", "Tell of the commands"]);
  const found = help ? undefined : commandOf(managed, words);
  const args = found ? await argumentsOf(found.command, found.rest, globals) : [];
  return [...options, ...nexts, ...args];
}

function commandOf(managed: readonly ManagedCommand[], words: readonly string[]) {
  try {
    return findCommand(managed, words);
  } catch (error) {
    if (error instanceof UnknownCommand) return undefined;
    throw error;
  }
}

function ownOptions({ name, options, operands }: Command, last: string): Candidate[] {
  if (name === "completion") return SHELLS.map((shell) => [shell, `script for ${shell}`]);
  if (operands && !last.startsWith("-")) return [];
  return Object.entries(options).map(([option, { help }]) => [`--${option}`, help]);
}

function globalOptions(): Candidate[] {
  return Object.entries(GLOBAL_OPTIONS).filter(([, { only }]) => only !== "gluster")
    .map(([name, { value, help }]) => {
      const shown = value === "" ? name : value === "script" ? "mode=script" : `${name}=`;
      return [`--${shown}`, help];
    });
}

// The words that may follow `words` in names of commands.
function nextWords(words: readonly string[], named: readonly Candidate[]): Candidate[] {
  const head = words.map((word) => `${word} `).join("");
  return named.filter(([name]) => name.startsWith(head)).map(([name, summary]) => {
    const [next = "", ...more] = name.slice(head.length).split(" ");
    return [next, more.length ? `commands: ${head}${next}` : summary];
  });
}

async function argumentsOf(
  { args }: ManagedCommand,
  given: readonly string[],
  globals: Globals,
): Promise<Candidate[]> {
  const table = Object.values(args);
  const named = table.filter(({ form }) => form !== "operand");
  const nameOf = ({ label }: Argument<unknown>) => label.split(" ")[0]!;
  const before = given.at(-1);
  const pending = named.find((each) => each.form === "keyword" && nameOf(each) === before);
  if (pending) return await offered(pending, given, globals);
  const operands = table.filter(({ form }) => form === "operand");
  const values = given.filter((word, at) =>
    !named.some((each) =>
      nameOf(each) === word || (each.form === "keyword" && nameOf(each) === given[at - 1])
    )
  );
  const due = operands[Math.min(values.length, operands.length - 1)];
  const full = values.length >= operands.length && !due?.many;
  const first = due?.required && !due.many && !full;
  const words: Candidate[] = first
    ? []
    : named.filter((each) => each.many || !given.includes(nameOf(each)))
      .map((each) => [nameOf(each), each.help]);
  const operandsLeft = full || !due ? [] : operands.slice(operands.indexOf(due));
  // What may be missing is passed over, so what follows up to the next required one can be meant.
  const next = operandsLeft.findIndex((each) => each.required);
  const reachable = next < 0 ? operandsLeft : operandsLeft.slice(0, next + 1);
  const offers = await Promise.all(reachable.map((each) => offered(each, given, globals)));
  return [...offers.flat(), ...words];
}

async function offered(
  { offers, help }: Argument<unknown>,
  given: readonly string[],
  globals: Globals,
): Promise<Candidate[]> {
  if (offers === undefined) return [];
  if (typeof offers === "object") return offers.map((word) => [word, help]);
  if (offers === "volume") return (await volumes(globals)).map((name) => [name, "volume"]);
  if (offers === "option") return await optionNames();
  if (offers === "snapshot") return (await snapshots(globals)).map((name) => [name, "snapshot"]);
  return await bricks(given[0], globals);
}

async function optionNames(): Promise<Candidate[]> {
  const { VOLUME_OPTIONS } = await import("mgmt/volume_options/mod.ts");
  return [...VOLUME_OPTIONS.values()].filter(({ hidden }) => !hidden)
    .map(({ key, spec }) => [key, spec.help]);
}

async function volumes(globals: Globals): Promise<string[]> {
  return namesIn(await asked(["volume", "list"], globals), "volumes");
}

async function snapshots(globals: Globals): Promise<string[]> {
  return namesIn(await asked(["snapshot", "list"], globals), "snapshots");
}

async function bricks(volume: string | undefined, globals: Globals): Promise<Candidate[]> {
  if (volume === undefined) return [];
  const value = await asked(["volume", "info", volume], globals);
  const names = JSON.stringify(value ?? null).matchAll(/"([^"\\]+:\/[^"\\]*)"/g);
  return [...names].map(([, name]) => [name!, `brick of ${volume}`]);
}

function namesIn(value: unknown, field: string): string[] {
  const list = Array.isArray(value)
    ? value
    : typeof value === "object" && value !== null
    ? (value as Record<string, unknown>)[field]
    : undefined;
  return Array.isArray(list) ? list.filter((each) => typeof each === "string") : [];
}

// What a command that only looks answers; undefined if there is no answer: then nothing is offered.
async function asked(words: readonly string[], globals: Globals): Promise<unknown> {
  try {
    const request = { words, form: "json", manner: "mortar", confirmed: true } as const;
    const daemon = daemonOf(globals, "mortar");
    const { stdout } = await call(daemon, request, AbortSignal.timeout(PATIENCE_MS));
    return (JSON.parse(stdout) as { value?: unknown }).value;
  } catch {
    return undefined;
  }
}
