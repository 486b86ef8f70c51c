/** Arguments of a command that come as values by name (REST) instead of words. */

import { WrongArguments } from "mgmt/cli/words.ts";
import type { Argument, Arguments, ArgumentTable, ManagedCommand } from "mgmt/cli/managed.ts";

/** Values for the arguments of `command`, as `readArguments` makes them. Throws WrongArguments. */
export function argumentsOf(
  command: ManagedCommand,
  given: Readonly<Record<string, unknown>>,
): Arguments<ArgumentTable> {
  const values: Record<string, unknown> = {};
  const stranger = Object.keys(given).find((name) => !Object.hasOwn(command.args, name));
  if (stranger !== undefined) throw wrong(command, `there is no argument "${stranger}"`);
  for (const [name, argument] of Object.entries(command.args)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    values[name] = valueOf(command, name, argument, value);
  }
  return values;
}

function valueOf(
  command: ManagedCommand,
  name: string,
  argument: Argument<unknown>,
  value: unknown,
): unknown {
  const { form, many, required } = argument;
  if (form === "word") {
    if (value === undefined || value === false || value === "false") return false;
    if (value === true || value === "true" || value === "") return true;
    throw wrong(command, `"${name}": expected true or false`);
  }
  if (many) {
    const list = value === undefined ? [] : Array.isArray(value) ? value : [value];
    if (required && !list.length) throw wrong(command, `"${name}" is missing`);
    return list.map((each) => parsed(command, name, argument, each));
  }
  if (value === undefined) {
    if (required) throw wrong(command, `"${name}" is missing`);
    return undefined;
  }
  if (argument.bare !== undefined && value === true) return argument.bare;
  return parsed(command, name, argument, value);
}

function parsed(
  command: ManagedCommand,
  name: string,
  argument: Argument<unknown>,
  value: unknown,
): unknown {
  if (typeof value !== "string" && typeof value !== "number") {
    throw wrong(command, `"${name}": expected a text or a number`);
  }
  try {
    return argument.parse(String(value));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrong(command, `"${name}" "${value}": ${error.message}`);
  }
}

function wrong(command: ManagedCommand, why: string): WrongArguments {
  return new WrongArguments(command, why, true);
}

/** The command line that says the same, for the history. */
export function lineOf(
  { path, args }: ManagedCommand,
  given: Readonly<Record<string, unknown>>,
): string {
  const words = Object.entries(args).flatMap(([name, { form, label }]) => {
    const value = given[name];
    if (value === undefined || value === false || value === "false") return [];
    if (form === "word") return [label];
    const each = Array.isArray(value) ? value : [value];
    if (form === "operand") return each.map(String);
    const [keyword] = label.split(" ");
    return each.flatMap((value) => value === true ? [keyword] : [keyword, String(value)]);
  });
  return [path, ...words].join(" ");
}
