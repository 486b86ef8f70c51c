/** What REST offers, as OpenAPI 3.1 describes it: made from the table of commands. */

import type { Json } from "core/xlator.ts";
import type { Argument, ManagedCommand } from "mgmt/cli/managed.ts";
import { inQuery, parametersIn, PREFIX, type Route, routesOf } from "mgmt/http/routes.ts";
import { VERSION } from "mgmt/version.ts";

type Fields = { [key: string]: Json };

/** The description, for `/v1/openapi.json`. */
export function openApi(commands: readonly ManagedCommand[]): Json {
  const paths: { [path: string]: Fields } = {
    "/health": {
      get: {
        operationId: "health",
        summary: "Whether the daemon answers; no token is needed",
        security: [],
        responses: { 200: { description: "It does." } },
      },
    },
  };
  for (const route of routesOf(commands)) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "mortar",
      version: VERSION,
      summary: "The commands of the management daemon",
      license: { name: "Apache 2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: PREFIX }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      responses: { Failure: FAILURE },
      schemas: { Failure: FAILURE_SCHEMA },
    },
  };
}

const FAILURE: Json = {
  description: "It was refused, or failed; nothing was changed unless the message says so.",
  content: { "application/json": { schema: { $ref: "#/components/schemas/Failure" } } },
};

const FAILURE_SCHEMA: Json = {
  type: "object",
  required: ["ok", "error"],
  properties: {
    ok: { const: false },
    error: {
      type: "object",
      required: ["message", "errno"],
      properties: { message: { type: "string" }, errno: { type: "integer" } },
    },
  },
};

function operation({ method, path, command }: Route): Json {
  const { args, summary, description = [] } = command;
  const inPath = parametersIn(path);
  const others = Object.entries(args).filter(([name]) => !inPath.includes(name));
  const query = inQuery(method) ? others : [];
  const parameters = [
    ...inPath.map((name) => parameter(name, "path", args[name])),
    ...query.map(([name, argument]) => parameter(name, "query", argument)),
  ];
  const responses: Fields = {
    200: {
      description: "Done.",
      content: {
        "application/json": {
          schema: {
            type: "object",
            required: ["ok", "value"],
            properties: { ok: { const: true }, value: {} },
          },
        },
      },
    },
  };
  for (const status of ["400", "401", "404", "409", "413", "500"]) {
    responses[status] = { $ref: "#/components/responses/Failure" };
  }
  return {
    operationId: command.path.replace(
      /[^a-z0-9]+(.)?/gi,
      (_all, next) => (next ?? "").toUpperCase(),
    ),
    summary,
    ...(description.length ? { description: description.join("\n\n") } : {}),
    ...(parameters.length ? { parameters } : {}),
    ...(!inQuery(method) && others.length ? { requestBody: body(others) } : {}),
    responses,
  };
}

function parameter(
  name: string,
  place: "path" | "query",
  argument: Argument<unknown> | undefined,
): Json {
  return {
    name,
    in: place,
    required: place === "path" || (argument?.required ?? false),
    description: argument?.help ?? name,
    schema: schema(argument),
  };
}

function body(args: readonly (readonly [string, Argument<unknown>])[]): Json {
  const required = args.filter(([, each]) => each.required).map(([name]) => name);
  const properties = Object.fromEntries(
    args.map(([name, argument]) => [name, {
      ...(schema(argument) as Fields),
      description: argument.help,
    }]),
  );
  return {
    required: required.length > 0,
    content: {
      "application/json": {
        schema: {
          type: "object",
          additionalProperties: false,
          ...(required.length ? { required } : {}),
          properties,
        },
      },
    },
  };
}

function schema(argument: Argument<unknown> | undefined): Json {
  if (argument?.form === "word") return { type: "boolean" };
  const words = typeof argument?.offers === "object" ? argument.offers : undefined;
  const one: Json = words ? { type: "string", enum: [...words] } : {
    type: argument?.bare === undefined ? ["string", "number"] : ["string", "number", "boolean"],
  };
  return argument?.many ? { type: "array", items: one } : one;
}
