/** Which command a method and a path mean: the routes are the commands' own, `ManagedCommand.rest`. */

import type { ManagedCommand } from "mgmt/cli/managed.ts";

/** All routes are below this. */
export const PREFIX = "/v1";

/** Method and path of one command. */
export interface Route {
  readonly method: string;
  /** Below `PREFIX`, with names in braces: "/volumes/{volume}/start". */
  readonly path: string;
  readonly command: ManagedCommand;
}

/** The routes of a table. */
export function routesOf(commands: readonly ManagedCommand[]): readonly Route[] {
  return commands.map((command) => {
    const [method = "", path = ""] = command.rest.split(" ");
    return { method, path, command };
  });
}

/** Names in braces of a route's path. */
export function parametersIn(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
}

/** A route and what its path says; or which methods the path has; undefined: no such path. */
export type Found =
  | { readonly route: Route; readonly parameters: Readonly<Record<string, string>> }
  | { readonly allowed: readonly string[] }
  | undefined;

/** Looks for `path`, "/volumes/v1/start", percent-encoded. Words go before parameters. */
export function findRoute(routes: readonly Route[], method: string, path: string): Found {
  const matching = routes.flatMap((route) => {
    const parameters = match(route.path, path);
    return parameters ? [{ route, parameters }] : [];
  }).sort((one, other) =>
    Object.keys(one.parameters).length - Object.keys(other.parameters).length
  );
  if (!matching.length) return undefined;
  return matching.find(({ route }) => route.method === method) ??
    { allowed: [...new Set(matching.map(({ route }) => route.method))] };
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/"), given = path.split("/");
  if (wanted.length !== given.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, want] of wanted.entries()) {
    const text = decoded(given[index]!);
    if (text === undefined) return undefined;
    const [name] = parametersIn(want);
    if (name === undefined ? want !== text : text === "") return undefined;
    if (name !== undefined) parameters[name] = text;
  }
  return parameters;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Whether arguments that are not in the path come in the query instead of a body. */
export function inQuery(method: string): boolean {
  return method === "GET" || method === "DELETE";
}
