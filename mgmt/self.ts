/**
 * How this program starts itself again. It is run from its sources, from a bundle that was unpacked
 * beside the Deno that runs it, or as one executable made by `deno compile`; only this file knows.
 */

import type { CommandLine } from "mgmt/bricks/runner.ts";
import { VERSION } from "mgmt/version.ts";

/** A name that the program is called by, which decides what it does. */
export type Name = "mortar" | "gluster" | "glusterd" | "glusterfsd" | "glusterfs";

/** Before the arguments, where a name other than "mortar" is told: `--called=glusterd`. */
const CALLED = "--called=";

/** Where this code stands in the sources; in a bundle it is elsewhere, beside `BUNDLE_MAIN`. */
const IN_SOURCES = "/mgmt/self.ts";

/** The file of a bundle that is run. */
export const BUNDLE_MAIN = "main.js";

/** How this program was made. */
export const MADE: "from sources" | "self-extracting" | "compiled" = Deno.build.standalone
  ? "compiled"
  : import.meta.url.endsWith(IN_SOURCES)
  ? "from sources"
  : "self-extracting";

/**
 * What a bundle is run with: it is looked for nowhere but where it lies. The permissions are those of
 * scripts/mortar.
 */
export const BUNDLE_FLAGS: readonly string[] = [
  ...["--quiet", "--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote"],
  ...["--allow-read", "--allow-write", "--allow-net", "--allow-ffi", "--allow-run"],
  ...["--allow-env=NOTIFY_SOCKET,HOME,XDG_DATA_HOME"],
  "--allow-sys=hostname,networkInterfaces,uid",
];

/**
 * For mounts: by itself V8 lets garbage grow to several times what is in use. The megabytes are those of
 * one of the three parts that what is young moves through. Many mounts live for one job: code is compiled
 * (simply, 5 MiB more) when it runs first.
 */
export const MOUNT_V8 =
  "--v8-flags=--heap-growing-percent=70,--max-semi-space-size=8,--always-sparkplug";

/** What `--version` prints. */
export function versionLine(): string {
  return `mortar ${VERSION} (${MADE}, Deno ${Deno.version.deno})\n`;
}

/** By which name this program was called, which a launcher tells, and the words that follow. */
export function calledAs(argv: readonly string[]): { name: string; words: readonly string[] } {
  const [first] = argv;
  if (first?.startsWith(CALLED)) return { name: first.slice(CALLED.length), words: argv.slice(1) };
  if (MADE !== "compiled") return { name: "mortar", words: argv };
  const [program = ""] = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
  return { name: program.split("/").at(-1)!, words: argv };
}

/**
 * This program in a role, which is "brick" or "heal", to be run for long: it reads and writes brick
 * directories, listens, and makes system calls; it starts no program and sees no more of the
 * environment than it needs.
 */
export function program(role: string): CommandLine {
  if (MADE === "compiled") return { command: Deno.execPath(), args: [role] };
  const bundled = BUNDLE_FLAGS.filter((each) => !/^--allow-(run|env)/.test(each));
  const flags = MADE === "self-extracting"
    ? bundled
    : [...sourceFlags(), ...bundled.filter((each) => each.startsWith("--allow-"))];
  return {
    command: Deno.execPath(),
    args: ["run", ...flags, "--allow-env=NOTIFY_SOCKET", mainFile(), role],
  };
}

/** This program as whoever types its name runs it, with `args`; `env` is to be added to its own. */
export function called(
  name: Name,
  args: readonly string[],
): CommandLine & { readonly env: Record<string, string> } {
  const words = name === "mortar" ? args : [`${CALLED}${name}`, ...args];
  if (MADE === "compiled") return { command: Deno.execPath(), args: words, env: {} };
  if (MADE === "from sources") {
    const command = new URL(`../scripts/${name}`, import.meta.url).pathname;
    return { command, args, env: { DENO: Deno.execPath() } };
  }
  const v8 = name === "glusterfs" || args[0] === "client" ? [MOUNT_V8] : [];
  return {
    // A link of that name lies beside the Deno that was unpacked.
    command: new URL(name, `file://${Deno.execPath()}`).pathname,
    args: ["run", ...v8, ...BUNDLE_FLAGS, mainFile(), ...words],
    env: { DENO_NO_UPDATE_CHECK: "1" },
  };
}

function sourceFlags(): string[] {
  const config = new URL("../deno.json", import.meta.url).pathname;
  return ["--quiet", "--no-prompt", "--config", config];
}

function mainFile(): string {
  const path = MADE === "from sources" ? "../main.ts" : BUNDLE_MAIN;
  return new URL(path, import.meta.url).pathname;
}
