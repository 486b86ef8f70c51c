/**
 * The one executable: `mortar ROLE …` runs a role here, all other words go to the management daemon.
 * Every part is loaded only where it is needed: a command line starts in a fraction of what all
 * translators take.
 */

import { calledAs, versionLine } from "mgmt/self.ts";
import { VERSION } from "mgmt/version.ts";

type Globals = import("mgmt/cli/globals.ts").Globals;
type Commands = readonly import("mgmt/cli/command.ts").Command[];

/** Commands that run in this process, by their first word. */
const ROLES: Readonly<Record<string, () => Promise<Commands>>> = {
  brick: async () => [(await import("mgmt/commands/brick.ts")).brick(await types())],
  client: async () => [(await import("mgmt/commands/client.ts")).client(await types())],
  mgmt: async () => [(await import("mgmt/commands/mgmt.ts")).mgmt],
  heal: async () => [(await import("mgmt/commands/heal.ts")).heal],
  file: async () => (await import("mgmt/commands/file.ts")).file(await types()),
  nbd: async () => [(await import("mgmt/commands/nbd.ts")).nbd(await types())],
  proxy: async () => [(await import("mgmt/commands/proxy.ts")).proxy(await types())],
  qcow2: async () => (await import("mgmt/commands/qcow2.ts")).qcow2(types),
  completion: async () => [(await import("mgmt/commands/completion.ts")).completion],
};

/** Commands that run in this process, of groups that the management daemon has otherwise. */
const LOCAL: Readonly<Record<string, (globals: Globals) => Promise<Commands>>> = {
  "snapshot check": async (globals) => [
    (await import("mgmt/commands/snapshot_check.ts")).snapshotCheck(globals),
  ],
  "snapshot send": async (globals) => [
    (await import("mgmt/commands/snapshot_send.ts")).snapshotSend(await types(), globals),
  ],
  "snapshot receive": async (globals) => [
    (await import("mgmt/commands/snapshot_receive.ts")).snapshotReceive(await types(), globals),
  ],
  "snapshot export": async (globals) => [
    (await import("mgmt/commands/snapshot_export.ts")).snapshotExport(await types(), globals),
  ],
};

/** GlusterFS's programs that we are called as. */
const OLD_NAMES: Readonly<Record<string, (argv: readonly string[]) => Promise<number>>> = {
  gluster: async (argv) => (await import("mgmt/old_names/gluster.ts")).gluster(argv),
  glusterd: async (argv) => (await import("mgmt/old_names/glusterd.ts")).glusterd(argv),
  glusterfsd: async (argv) => (await import("mgmt/old_names/glusterfsd.ts")).glusterfsd(argv),
  glusterfs: async (argv) => (await import("mgmt/old_names/glusterfs.ts")).glusterfs(argv),
  "mount.glusterfs": async (argv) => await (await mountHelper())(argv, "glusterfs"),
  "mount.mortar": async (argv) => await (await mountHelper())(argv),
};

async function types() {
  return (await import("xlators/mod.ts")).TYPES;
}

async function mountHelper() {
  return (await import("mgmt/old_names/mount_helper.ts")).mountHelper;
}

async function main(argv: readonly string[]): Promise<number> {
  const { name, words } = calledAs(argv);
  const old = Object.hasOwn(OLD_NAMES, name) ? OLD_NAMES[name] : undefined;
  if (old) return await old(words);
  const [word = ""] = words;
  if (word === "--version" || word === "-V") return print(versionLine());
  if (word === "--help" || word === "-h") return await help(words.slice(1));
  if (word === "__complete") return await complete(words.slice(1));
  const role = Object.hasOwn(ROLES, word) ? ROLES[word] : undefined;
  if (role) return await run(await role(), words);
  const done = words.includes("snapshot") ? await localCommand(words) : undefined;
  if (done !== undefined) return done;
  const { HelpWanted, runLine } = await import("mgmt/cli/client.ts");
  try {
    return await runLine(words);
  } catch (error) {
    if (error instanceof HelpWanted) return await help(error.words);
    throw error;
  }
}

// Options for finding the daemon may stand before its words.
async function localCommand(argv: readonly string[]): Promise<number | undefined> {
  const { readGlobals } = await import("mgmt/cli/globals.ts");
  const globals = readGlobals(argv, "mortar"), name = globals.words.slice(0, 2).join(" ");
  if (globals.print !== undefined || !Object.hasOwn(LOCAL, name)) return undefined;
  return await run(await LOCAL[name]!(globals), globals.words);
}

async function run(commands: Commands, argv: readonly string[]): Promise<number> {
  const { helpOn, readCommandLine } = await import("mgmt/cli/command.ts");
  const request = readCommandLine(commands, argv);
  if (request.ask === "run") return await request.command.run(request.values, request.operands);
  if (request.ask === "version") return print(versionLine());
  if ("command" in request && request.command) return print(helpOn(request.command));
  return await help("group" in request ? [request.group] : []);
}

async function help(words: readonly string[]): Promise<number> {
  const { helpText } = await import("mgmt/commands/help.ts");
  return print(helpText(await everyCommand(), words, VERSION));
}

async function complete(words: readonly string[]): Promise<number> {
  const { completions } = await import("mgmt/cli/complete.ts");
  const found = await completions(await everyCommand(), words);
  return print(found.map((each) => `${each}\n`).join(""));
}

/** All commands: those of the management daemon, and those that run here. */
export async function everyCommand() {
  const { MANAGED } = await import("mgmt/commands/mod.ts");
  const { readGlobals } = await import("mgmt/cli/globals.ts");
  const none = readGlobals([], "mortar");
  const local = await Promise.all([
    ...Object.values(ROLES).map((load) => load()),
    ...Object.values(LOCAL).map((load) => load(none)),
  ]);
  return { local: local.flat(), managed: MANAGED };
}

async function print(
  text: string,
  to: typeof Deno.stdout | typeof Deno.stderr = Deno.stdout,
): Promise<number> {
  const { say } = await import("mgmt/cli/terminal.ts");
  say(text, to);
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    const { CommandError } = await import("mgmt/cli/command_error.ts");
    if (!(error instanceof CommandError)) throw error;
    await print(`${error.message}\n`, Deno.stderr);
    Deno.exit(error.exitCode);
  }
}
