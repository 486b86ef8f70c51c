/**
 * Rules that hold the tree together. Fails on a translator without table line, README, option
 * markers or test, and on a file nobody uses. Points out, without failing, files over 600 lines,
 * functions over 70 and exports without a comment.
 */

// deno-lint-ignore-file no-console -- a command's output

import { importsOf } from "./imports.ts";

const FILE_LINES = 600, FUNCTION_LINES = 70;
const ENTRIES =
  /^(main\.ts|scripts\/|tests\/(e2e|fuzz|sim|interop|conformance)\/)|_(test|bench)\.ts$/;

function* files(folder = "."): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    if (entry.name.startsWith(".") || entry.name === "node_modules" || entry.name === "dist") {
      continue;
    }
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* files(path);
    else yield path;
  }
}

function translatorProblems(paths: readonly string[]): string[] {
  const table = Deno.readTextFileSync("xlators/mod.ts");
  const folders = new Set(
    paths.map((path) => /^(xlators\/[^/]+\/[^/]+)\//.exec(path)?.[1]).filter((each) =>
      each !== undefined
    ),
  );
  const problems: string[] = [];
  for (const folder of folders) {
    const inside = paths.filter((path) => path.startsWith(`${folder}/`));
    if (!table.includes(`"${folder}/`)) problems.push(`${folder}: no line in xlators/mod.ts`);
    if (!inside.some((path) => path.endsWith("_test.ts"))) problems.push(`${folder}: no test`);
    const readme = `${folder}/README.md`;
    if (!inside.includes(readme)) problems.push(`${folder}: no README.md`);
    else if (!Deno.readTextFileSync(readme).includes("<!-- options:begin -->")) {
      problems.push(`${readme}: no option markers`);
    }
  }
  return problems;
}

function deadFiles(sources: readonly string[]): string[] {
  const used = new Set(sources.flatMap((path) => importsOf(path, Deno.readTextFileSync(path))));
  return sources.filter((path) => !used.has(path) && !ENTRIES.test(path))
    .map((path) => `${path}: nothing imports it`);
}

function hints(path: string): string[] {
  const lines = Deno.readTextFileSync(path).split("\n");
  const found: string[] = [];
  if (lines.length > FILE_LINES) found.push(`${path}: ${lines.length} lines`);
  let start = -1, indent = "";
  lines.forEach((line, index) => {
    const open =
      /^( {0,2})(?:export )?(?:async )?(?:function |(?:static |override |protected )*(?:async )?#?\w+\().*\{$/
        .exec(line);
    if (open && start < 0) [start, indent] = [index, open[1]!];
    else if (start >= 0 && (line === `${indent}}` || line === `${indent}},`)) {
      if (index - start > FUNCTION_LINES) {
        found.push(`${path}:${start + 1}: function of ${index - start} lines`);
      }
      start = -1;
    }
    const exported = /^export (?:async )?(?:abstract )?(?:function|class|interface) (\w+)/.exec(
      line,
    );
    if (exported && !/\*\/$|^\/\/ /.test(lines[index - 1] ?? "") && !/_test\.ts$/.test(path)) {
      found.push(`${path}:${index + 1}: ${exported[1]} has no comment`);
    }
  });
  return found;
}

if (import.meta.main) {
  const paths = [...files()];
  const sources = paths.filter((path) => path.endsWith(".ts"));
  const problems = [...translatorProblems(paths), ...deadFiles(sources)];
  for (const hint of sources.flatMap(hints)) console.log(`hint: ${hint}`);
  for (const problem of problems) console.error(problem);
  if (problems.length) Deno.exit(1);
}
