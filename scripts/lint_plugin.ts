/**
 * Rules of this project for `deno lint`.
 *
 * - `mortar/ambient`: clocks, timers and randomness come in through `Env`, so that a cluster can run
 *   under a seeded simulator. Only core/env.ts, scripts and tests may touch the real ones.
 * - `mortar/bare-fop`: a fop's promise is awaited, returned or settled, never dropped: a rejection
 *   that nobody holds ends the process.
 * - `mortar/loose-assert`: `equal` of node:assert compares loosely here, whatever it is imported from.
 * - `mortar/external`: libraries are named once, in the import map of deno.json.
 */

import { FOP_NAMES } from "../core/fops.ts";

const AMBIENT_MEMBERS = new Set([
  "Date.now",
  "Math.random",
  "performance.now",
  "crypto.getRandomValues",
  "crypto.randomUUID",
]);
const AMBIENT_FUNCTIONS = new Set(["setTimeout", "setInterval", "queueMicrotask"]);
const FOPS = new Set<string>(FOP_NAMES);

function mayBeAmbient(file: string): boolean {
  return /\/(scripts|tests|gateways)\/|_(test|bench)\.ts$|\/core\/env\.ts$/.test(file);
}

function memberName(node: Deno.lint.Node): string | undefined {
  return node.type === "MemberExpression" && node.object.type === "Identifier" &&
      node.property.type === "Identifier"
    ? `${node.object.name}.${node.property.name}`
    : undefined;
}

const ambient: Deno.lint.Rule = {
  create(context) {
    if (mayBeAmbient(context.filename)) return {};
    const refuse = (node: Deno.lint.Node, what: string) =>
      context.report({
        node,
        message: `${what} is not deterministic`,
        hint: "Take it from Env (core/env.ts)",
      });
    return {
      CallExpression(node) {
        const member = memberName(node.callee);
        if (member && AMBIENT_MEMBERS.has(member)) refuse(node, member);
        if (node.callee.type === "Identifier" && AMBIENT_FUNCTIONS.has(node.callee.name)) {
          refuse(node, node.callee.name);
        }
      },
      NewExpression(node) {
        if (
          node.callee.type === "Identifier" && node.callee.name === "Date" && !node.arguments.length
        ) {
          refuse(node, "new Date()");
        }
      },
    };
  },
};

const bareFop: Deno.lint.Rule = {
  create(context) {
    return {
      ExpressionStatement(node) {
        const call = node.expression;
        if (call.type !== "CallExpression" || call.callee.type !== "MemberExpression") return;
        const { object, property } = call.callee;
        // Only calls on something that is a layer: this.child, child, top, a children[] element.
        const on = context.sourceCode.getText(object);
        if (
          property.type === "Identifier" && FOPS.has(property.name) &&
          /(^|\.)(child|top|subvolume|brick)$|children\[/.test(on)
        ) {
          context.report({
            node,
            message: `The promise of ${on}.${property.name} is dropped`,
            hint: "await, return or settle it",
          });
        }
      },
    };
  },
};

const external: Deno.lint.Rule = {
  create(context) {
    return {
      ImportDeclaration(node) {
        if (/^(https?|npm|jsr|data):/.test(node.source.value)) {
          context.report({
            node,
            message: `${node.source.value} is not in the import map`,
            hint: "deno.json is the one list of libraries",
          });
        }
      },
    };
  },
};

const looseAssert: Deno.lint.Rule = {
  create(context) {
    return {
      ImportDeclaration(node) {
        if (!/^node:assert/.test(node.source.value)) return;
        for (const each of node.specifiers) {
          if (
            each.type === "ImportSpecifier" && each.imported.type === "Identifier" &&
            /^(not)?(deep)?equal$/i.test(each.imported.name)
          ) {
            context.report({
              node: each,
              message:
                `${each.imported.name} compares loosely in Deno, even from node:assert/strict`,
              hint: "import { strictEqual as equal, deepStrictEqual as deepEqual }",
            });
          }
        }
      },
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "mortar",
  rules: { ambient, "bare-fop": bareFop, external, "loose-assert": looseAssert },
};
export default plugin;
