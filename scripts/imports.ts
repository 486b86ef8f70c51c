/** Checks the direction of imports: which folder may use which, and that there are no cycles. */

const MAY: Readonly<Record<string, readonly string[]>> = {
  core: ["core"],
  rpc: ["core", "rpc"],
  snapshot: ["core", "snapshot"],
  xlators: ["core"],
  "xlators/protocol": ["core", "rpc"],
  "xlators/features/clone": ["core", "snapshot"],
  "xlators/features/snapshot": ["core", "snapshot"],
  "xlators/features/qcow2": ["core", "snapshot"],
  gateways: ["core", "gateways", "rpc"],
  mgmt: ["core", "gateways", "mgmt", "rpc", "snapshot"],
  "": ["core", "rpc", "snapshot", "xlators", "mgmt", "gateways", "tests", "scripts"],
};

/** The one file of `xlators` that others use: the table of types. */
const XLATOR_TABLE = "xlators/mod.ts";

function* sources(folder = "."): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    if (entry.name.startsWith(".") || entry.name === "node_modules" || entry.name === "dist") {
      continue;
    }
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

/** Files of ours that `path` imports, as paths from the root. */
export function importsOf(path: string, text: string): string[] {
  const found: string[] = [];
  for (const [, spec] of text.matchAll(/^(?:import|export)\b[^;]*?from "([^"]+)";/gm)) add(spec!);
  for (const [, spec] of text.matchAll(/\bimport\("([^"]+)"\)/g)) add(spec!);
  return found;
  function add(spec: string): void {
    if (/^(core|rpc|snapshot|xlators|mgmt|gateways|tests)\//.test(spec)) found.push(spec);
    else if (spec.startsWith(".")) {
      found.push(new URL(spec, `file:///${path}`).pathname.slice(1));
    }
  }
}

function ruleFor(path: string): readonly string[] {
  const parts = path.split("/");
  for (let size = parts.length - 1; size > 0; size--) {
    const rule = MAY[parts.slice(0, size).join("/")];
    if (rule) return rule;
  }
  return MAY[""]!;
}

function isTest(path: string): boolean {
  return /_(test|bench)\.ts$/.test(path) || /^(tests|scripts)\//.test(path);
}

function refusal(from: string, to: string): string | undefined {
  if (isTest(from) || !from.includes("/")) return undefined;
  const folder = to.split("/")[0]!;
  if (to === XLATOR_TABLE) {
    return from.startsWith("mgmt/")
      ? undefined
      : "only mgmt and main.ts may import the table of translators";
  }
  if (from === XLATOR_TABLE && folder === "xlators") return undefined;
  if (folder === "xlators") {
    const own = from.split("/").slice(0, 3).join("/");
    return to.startsWith(`${own}/`)
      ? undefined
      : "a translator never imports another: the graph composes them";
  }
  return ruleFor(from).includes(folder)
    ? undefined
    : `${from.split("/")[0]} may not import ${folder}`;
}

/** What is wrong with the imports of the tree below the current folder: a line each. */
export function checkImports(): string[] {
  const edges = new Map<string, string[]>();
  const problems: string[] = [];
  for (const path of sources()) {
    const to = importsOf(path, Deno.readTextFileSync(path));
    edges.set(path, to);
    for (const target of to) {
      const why = refusal(path, target);
      if (why) problems.push(`${path}: imports ${target}: ${why}`);
    }
  }
  // Types may point at each other; a cycle of values is a knot. Type-only imports are left out.
  for (const cycle of cycles(valueEdges([...edges.keys()]))) {
    problems.push(`cycle: ${cycle.join(" → ")}`);
  }
  return problems;
}

function valueEdges(paths: readonly string[]): Map<string, string[]> {
  return new Map(paths.map((path) => {
    const text = Deno.readTextFileSync(path).replace(/^(?:import|export) type\b[^;]*;/gm, "");
    return [path, importsOf(path, text)];
  }));
}

function* cycles(edges: ReadonlyMap<string, readonly string[]>): Generator<string[]> {
  const done = new Set<string>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (path: string) => {
    const at = stack.indexOf(path);
    if (at >= 0) return void found.push([...stack.slice(at), path]);
    if (done.has(path)) return;
    stack.push(path);
    for (const next of edges.get(path) ?? []) visit(next);
    stack.pop();
    done.add(path);
  };
  for (const path of edges.keys()) visit(path);
  yield* found;
}

if (import.meta.main) {
  const problems = checkImports();
  // deno-lint-ignore no-console -- a command's output
  for (const problem of problems) console.error(problem);
  if (problems.length) Deno.exit(1);
}
