import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { makeLog, MetricsTable, realRandom } from "core/env.ts";
import {
  keyword,
  managed,
  type ManagedCommand,
  OP_ERRNO,
  operands,
  optional,
  Refusal,
  volumeName,
  wholeNumber,
  word,
} from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { openApi } from "mgmt/http/openapi.ts";
import { parametersIn, routesOf } from "mgmt/http/routes.ts";
import { Handler } from "mgmt/http/server.ts";
import { readToken, sameToken } from "mgmt/http/token.ts";
import { FakeClock } from "tests/fakes/clock.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const clock = new FakeClock();
const env = {
  clock,
  random: realRandom,
  log: makeLog({ level: "none", format: "text", write() {}, clock }),
  metrics: new MetricsTable(),
};

const common = { summary: "", examples: [], text: () => "", xml: () => [] } as const;
const COMMANDS: readonly ManagedCommand[] = [
  managed({
    ...common,
    path: "wall list",
    args: { wall: optional("[<WALL>]", { help: "" }), bare: word("bare", "") },
    scope: "nothing",
    rest: "GET /walls",
    apply: (_cluster, { wall, bare }) => ({ wall: wall ?? "all", bare }),
  }),
  managed({
    ...common,
    path: "wall paint",
    args: {
      volume: volumeName,
      coats: keyword("coats", "<COUNT>", { help: "", parse: wholeNumber }),
      colours: operands("<COLOUR>", { help: "" }),
      wet: word("wet", ""),
    },
    scope: "volume",
    rest: "POST /walls/{volume}/paint",
    apply(_cluster, { volume, coats, colours, wet }) {
      if (volume === "gone") throw new Refusal("There is no wall gone", OP_ERRNO.noVolume);
      if (volume === "busy") throw new Refusal("It is busy");
      if (volume === "broken") throw new TypeError("inside");
      return { volume, coats: coats ?? 1, colours, wet };
    },
  }),
];

const logs = Deno.makeTempDirSync({ prefix: "http-" });
addEventListener("unload", () => Deno.removeSync(logs, { recursive: true }));
const cluster = { env, places: { home: logs, run: logs, logs, socket: "" } } as unknown as Cluster;
const handler = new Handler(new Dispatcher(cluster, COMMANDS), env, TOKEN);

async function ask(line: string, body?: BodyInit, token: string | undefined = TOKEN) {
  const [method, path] = line.split(" ");
  const headers: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
  const response = await handler.answer(
    new Request(`http://127.0.0.1:1${path}`, {
      method: method!,
      headers,
      ...(body === undefined ? {} : { body }),
    }),
  );
  return { status: response.status, headers: response.headers, value: await response.json() };
}

Deno.test("mgmt/http: arguments come from path, query and body", async () => {
  deepEqual((await ask("GET /v1/walls?wall=v1&bare=true")).value, {
    ok: true,
    value: { wall: "v1", bare: true },
  });
  const body = JSON.stringify({ coats: 2, colours: ["red", "blue"], wet: true });
  deepEqual((await ask("POST /v1/walls/a%2Fb/paint", body)).value, {
    ok: true,
    value: { volume: "a/b", coats: 2, colours: ["red", "blue"], wet: true },
  });
  match(
    Deno.readTextFileSync(`${logs}/cmd_history.log`),
    / : wall paint a\/b coats 2 red blue wet : SUCCESS\n$/,
  );
});

Deno.test("mgmt/http: only health answers without the right token", async () => {
  equal((await ask("GET /v1/health", undefined, "")).status, 200);
  for (const token of ["", "x", TOKEN.slice(1), `${TOKEN}0`]) {
    for (const path of ["/v1/walls", "/v1/openapi.json", "/v1/nothing"]) {
      const { status, headers, value } = await ask(`GET ${path}`, undefined, token);
      equal(status, 401);
      equal(headers.get("www-authenticate"), "Bearer");
      ok(!JSON.stringify(value).includes(TOKEN));
    }
  }
});

Deno.test("mgmt/http: what is wrong with a request has its status and one line", async () => {
  const good = { colours: ["red"] };
  const cases: [string, unknown, number, RegExp][] = [
    ["GET /v1/nothing", undefined, 404, /Cannot find \/v1\/nothing/],
    ["GET /", undefined, 404, /Cannot find/],
    ["GET /v1/walls/%ff/paint", undefined, 404, /Cannot find/],
    ["DELETE /v1/walls", undefined, 405, /it takes GET/],
    ["POST /v1/health", undefined, 405, /it takes GET/],
    ["GET /v1/walls?door=1", undefined, 400, /there is no argument "door"/],
    ["GET /v1/walls?__proto__=1", undefined, 400, /there is no argument "__proto__"/],
    ["GET /v1/walls?bare=perhaps", undefined, 400, /expected true or false/],
    ["GET /v1/walls?wall=a&wall=b", undefined, 400, /expected a text/],
    ["POST /v1/walls/v/paint", {}, 400, /"colours" is missing/],
    ["POST /v1/walls/v/paint", { ...good, coats: "x" }, 400, /expected a whole number/],
    ["POST /v1/walls/v/paint", { ...good, coats: {} }, 400, /expected a text or a number/],
    ["POST /v1/walls/v/paint", { ...good, volume: "w" }, 400, /in the path already/],
    ["POST /v1/walls/v/paint", [], 400, /not a JSON object/],
    ["POST /v1/walls/gone/paint", good, 404, /There is no wall gone/],
    ["POST /v1/walls/busy/paint", good, 409, /It is busy/],
    ["POST /v1/walls/broken/paint", good, 500, /something went wrong inside/],
  ];
  for (const [line, body, wanted, text] of cases) {
    const { status, value } = await ask(
      line,
      body === undefined ? undefined : JSON.stringify(body),
    );
    equal(status, wanted, line);
    equal(value.ok, false);
    match(value.error.message, text);
    equal(typeof value.error.errno, "number");
  }
  equal((await ask("POST /v1/walls/v/paint", "{")).status, 400);
  equal((await ask("DELETE /v1/walls")).headers.get("allow"), "GET");
});

Deno.test("mgmt/http: a Host that is none is refused, not logged as a fault of ours", async () => {
  for (const host of ["a b", "x:99999", "["]) {
    // No URL can be made of it, so no Request either: this is what Deno hands over.
    const request = { url: `http://${host}/v1/health`, method: "GET", headers: new Headers() };
    const response = await handler.answer(request as Request);
    equal(response.status, 400, host);
    match(await response.text(), /Cannot read the header Host/);
  }
});

Deno.test("mgmt/http: a body over a MiB is refused, however it comes", async () => {
  equal((await ask("POST /v1/walls/v/paint", "x".repeat((1 << 20) + 1))).status, 413);
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(to) {
      sent += 65536;
      to.enqueue(new Uint8Array(65536));
    },
  });
  equal((await ask("POST /v1/walls/v/paint", endless)).status, 413);
  ok(sent < 2 << 20);
});

Deno.test("mgmt/http: the token's file is made once, for its owner alone", () => {
  const path = `${logs}/http.token`;
  const token = readToken(path, realRandom);
  match(token, /^[0-9a-f]{64}$/);
  equal(Deno.statSync(path).mode! & 0o777, 0o600);
  equal(readToken(path, realRandom), token);
  Deno.chmodSync(path, 0o640);
  throws(() => readToken(path, realRandom), /others may read it/);
  Deno.chmodSync(path, 0o600);
  Deno.writeTextFileSync(path, "short\n");
  throws(() => readToken(path, realRandom), /remove it for a new one/);
  ok(sameToken("abc", "abc"));
  for (const wrong of ["", "ab", "abd", "abcd"]) ok(!sameToken("abc", wrong));
});

Deno.test("mgmt/http: every command has a route of its own, whose names are its arguments", () => {
  const routes = routesOf(MANAGED);
  const shapes = routes.map(({ method, path }) => `${method} ${path.replace(/\{\w+\}/g, "{}")}`);
  deepEqual(shapes.filter((each, at) => shapes.indexOf(each) !== at), []);
  for (const { method, path, command } of routes) {
    match(method, /^(GET|POST|PUT|PATCH|DELETE)$/, command.path);
    match(path, /^(\/([a-z-]+|\{\w+\}))+$/, command.path);
    for (const name of parametersIn(path)) ok(Object.hasOwn(command.args, name), command.path);
    // A look can be had again, a change must not be asked for by a link.
    if (command.scope !== "nothing") ok(method !== "GET", command.path);
  }
});

Deno.test("mgmt/http: the description names every command, and its arguments", () => {
  const document = openApi(COMMANDS) as { paths: Record<string, Record<string, unknown>> };
  deepEqual(Object.keys(document.paths), ["/health", "/walls", "/walls/{volume}/paint"]);
  const paint = document.paths["/walls/{volume}/paint"]!["post"] as Record<string, unknown>;
  equal(paint["operationId"], "wallPaint");
  match(JSON.stringify(paint["requestBody"]), /"required":\["colours"\]/);
});
