/**
 * Commands as REST: `/v1/…` as the table of commands says, JSON in and out, `Authorization: Bearer`
 * with the token in HOME/http.token. Nothing here lets a browser's page of another origin in.
 */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { UsageError } from "mgmt/cli/command_error.ts";
import { argumentsOf, lineOf } from "mgmt/cli/values.ts";
import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import type { Dispatcher } from "mgmt/dispatch.ts";
import { cannotListen, parsePort } from "mgmt/endpoints.ts";
import { openApi } from "mgmt/http/openapi.ts";
import { findRoute, inQuery, PREFIX, type Route, routesOf } from "mgmt/http/routes.ts";
import { readToken, sameToken } from "mgmt/http/token.ts";
import { endpointText } from "rpc/transport.ts";

/** Bytes of a request's body, and how long it may take to come. */
const BODY_MAX = 1 << 20, BODY_MS = 30_000;
/** How long requests under way may take once the daemon ends. */
const STOP_MS = 5000;

/** Where `--http` says: HOST:PORT, or PORT on this machine only. Throws UsageError. */
export function httpEndpoint(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+)):)?(\d{1,5})$/i.exec(text);
  if (!match) throw new UsageError(`Cannot use --http "${text}": expected HOST:PORT or PORT`);
  return { host: match[1] ?? match[2] ?? "127.0.0.1", port: parsePort(match[3]!, "--http", 0) };
}

/** A server that runs. */
export interface HttpServer {
  /** "HOST:PORT", with the real port. */
  readonly address: string;
  /** Answers what is under way, then ends. */
  stop(): Promise<void>;
}

/** Serves the commands of `dispatcher`. Throws CommandError. */
export function serveHttp(
  { host, port }: { readonly host: string; readonly port: number },
  dispatcher: Dispatcher,
  { env, home }: { readonly env: Env; readonly home: string },
): Promise<HttpServer> {
  const token = readToken(`${home}/http.token`, env.random);
  const handler = new Handler(dispatcher, env, token);
  const gone = new AbortController();
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve(
      { hostname: host, port, signal: gone.signal, onListen() {} },
      (request) => handler.answer(request),
    );
  } catch (error) {
    const text = endpointText({ kind: "tcp", host, port });
    return Promise.reject(cannotListen(error, text, "choose another with --http"));
  }
  const { hostname, port: real } = server.addr;
  return Promise.resolve({
    address: endpointText({ kind: "tcp", host: hostname, port: real }),
    async stop() {
      // Who does not finish a request must not keep us.
      const late = env.clock.after(STOP_MS, () => gone.abort());
      await server.shutdown();
      late.cancel();
    },
  });
}

/** An answer that is none of a command: status, and what went wrong. */
class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** Answers requests. Apart from the listener, for tests without a socket. */
export class Handler {
  readonly #dispatcher: Dispatcher;
  readonly #env: Env;
  readonly #token: string;
  readonly #routes: readonly Route[];

  constructor(dispatcher: Dispatcher, env: Env, token: string) {
    this.#dispatcher = dispatcher;
    this.#env = env;
    this.#token = token;
    this.#routes = routesOf(dispatcher.commands);
  }

  async answer(request: Request): Promise<Response> {
    const url = URL.parse(request.url);
    if (!url) return reply(400, failed("Cannot read the header Host", OP_ERRNO.internal));
    try {
      return reply(200, await this.#success(request, url));
    } catch (error) {
      if (error instanceof HttpFailure) {
        return reply(error.status, failed(error.message, OP_ERRNO.internal), error.headers);
      }
      if (error instanceof WrongArguments) {
        return reply(400, failed(error.message, OP_ERRNO.internal));
      }
      const { message, opErrno } = this.#dispatcher.refusal(error, url.pathname);
      const status = !(error instanceof Refusal) ? 500 : opErrno === OP_ERRNO.noVolume ? 404 : 409;
      return reply(status, failed(message, opErrno));
    }
  }

  async #success(request: Request, { pathname, searchParams }: URL): Promise<Json> {
    const { method } = request;
    if (pathname === `${PREFIX}/health`) {
      onlyGet(method);
      return { ok: true, value: "healthy" };
    }
    this.#checkToken(request);
    if (pathname === `${PREFIX}/openapi.json`) {
      onlyGet(method);
      return openApi(this.#dispatcher.commands);
    }
    const below = pathname.startsWith(`${PREFIX}/`) ? pathname.slice(PREFIX.length) : undefined;
    const found = below === undefined ? undefined : findRoute(this.#routes, method, below);
    if (!found) throw new HttpFailure(404, `Cannot find ${pathname}: see ${PREFIX}/openapi.json`);
    if ("allowed" in found) throw notAllowed(method, found.allowed);
    const { route: { command }, parameters } = found;
    const given = inQuery(method) ? inParameters(searchParams) : await this.#body(request);
    const twice = Object.keys(parameters).find((name) => Object.hasOwn(given, name));
    if (twice !== undefined) throw new HttpFailure(400, `"${twice}" is in the path already`);
    const all = { ...given, ...parameters };
    const args = argumentsOf(command, all);
    return {
      ok: true,
      value: await this.#dispatcher.perform(command, args, lineOf(command, all)),
    };
  }

  #checkToken(request: Request): void {
    const given = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    if (given !== undefined && sameToken(this.#token, given)) return;
    const why = given === undefined ? "no token was given" : "the token is not the right one";
    throw new HttpFailure(
      401,
      `Cannot let you in: ${why}; it is in http.token in the daemon's home`,
      { "www-authenticate": "Bearer" },
    );
  }

  async #body(request: Request): Promise<Record<string, unknown>> {
    const text = await this.#bodyText(request);
    if (text.trim() === "") return {};
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new HttpFailure(400, "Cannot read the body: it is not JSON");
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new HttpFailure(400, "Cannot read the body: it is not a JSON object");
    }
    return value as Record<string, unknown>;
  }

  async #bodyText(request: Request): Promise<string> {
    const reader = request.body?.getReader();
    if (!reader) return "";
    const decoder = new TextDecoder();
    let text = "", size = 0, slow = false;
    const late = this.#env.clock.after(BODY_MS, () => {
      slow = true;
      void reader.cancel().catch(() => {});
    });
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (slow) throw new HttpFailure(408, `Cannot read the body: not there in ${BODY_MS} ms`);
        if (done) return text + decoder.decode();
        size += value.length;
        if (size > BODY_MAX) {
          void reader.cancel().catch(() => {});
          throw new HttpFailure(413, `Cannot read the body: more than ${BODY_MAX} bytes`);
        }
        text += decoder.decode(value, { stream: true });
      }
    } finally {
      late.cancel();
    }
  }
}

function onlyGet(method: string): void {
  if (method !== "GET") throw notAllowed(method, ["GET"]);
}

function notAllowed(method: string, allowed: readonly string[]): HttpFailure {
  const allow = allowed.join(", ");
  return new HttpFailure(405, `Cannot ${method} this: it takes ${allow}`, { allow });
}

// A word of a query is one text, or a list if it is there more than once.
function inParameters(query: URLSearchParams): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const name of new Set(query.keys())) {
    const all = query.getAll(name);
    Object.defineProperty(given, name, {
      value: all.length === 1 ? all[0] : all,
      enumerable: true,
    });
  }
  return given;
}

function failed(message: string, errno: number): Json {
  return { ok: false, error: { message, errno } };
}

function reply(status: number, value: Json, headers: Readonly<Record<string, string>> = {}) {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
