/** Options of the command line itself, which may stand anywhere among a command's words. */

import { UsageError } from "mgmt/cli/command_error.ts";
import type { Form, Manner } from "rpc/programs/commands.ts";

/** What they say. */
export interface Globals {
  /** All that is left: the command's words. */
  readonly words: readonly string[];
  readonly form: Form;
  /** No questions. */
  readonly script: boolean;
  /** Commands that have "force" are carried out with it where GlusterFS's are. */
  readonly ignoreWarnings: boolean;
  readonly home: string | undefined;
  readonly socket: string | undefined;
  readonly remoteHost: string | undefined;
  /** How long to wait for the answer. */
  readonly timeoutMs: number;
  /** What to print instead of running a command. */
  readonly print: "help" | "version" | "logdir" | "statedumpdir" | undefined;
}

/** An option that there is not, and exit code 255, as in GlusterFS. */
export class UnknownOption extends Error {
  override readonly name = "UnknownOption";
}

/** A command may take as long as GlusterFS's longest. */
const TIMEOUT_MS = 600_000;

/** Words of commands that look like options; GlusterFS has none such. */
const WORDS_OF_OURS: ReadonlySet<string> = new Set(["--adopt", "--state", "--file", "--from"]);

type Mutable = { -readonly [K in keyof Globals]: Globals[K] };

/** Options by name: what stands for the value in help ("" if there is none), the line in help, what it does. */
interface Option {
  readonly value: string;
  readonly help: string;
  /** Whose command line has it; absent: both. */
  readonly only?: Manner;
  take(into: Mutable, value: string): void;
}

const ignored = (value: string): Option => ({
  value,
  help: "Taken, without effect.",
  only: "gluster",
  take() {},
});

/** The table: parsing, help and completion follow it. */
export const GLOBAL_OPTIONS: Readonly<Record<string, Option>> = {
  home: {
    value: "DIR",
    help: "Home of the management daemon to ask.",
    only: "mortar",
    take: (into, value) => into.home = value,
  },
  socket: {
    value: "PATH",
    help: "Socket of the management daemon to ask.",
    only: "mortar",
    take: (into, value) => into.socket = value,
  },
  "glusterd-sock": {
    value: "PATH",
    help: "Socket of the management daemon to ask.",
    only: "gluster",
    take: (into, value) => into.socket = value,
  },
  "remote-host": {
    value: "HOST",
    help: "Ask the daemon of another machine; it only lets you look.",
    take: (into, value) => into.remoteHost = value,
  },
  mode: {
    value: "script",
    help: 'With "script" no questions are asked: the answer is yes.',
    take(into, value) {
      if (value === "script") into.script = true;
      else if (value !== "interactive") throw new UnknownOption(`mode=${value}`);
    },
  },
  xml: { value: "", help: "Print XML, as GlusterFS does.", take: (into) => into.form = "xml" },
  json: {
    value: "",
    help: "Print JSON.",
    only: "mortar",
    take: (into) => into.form = "json",
  },
  timeout: {
    value: "SECONDS",
    help: `How long to wait for the answer; ${TIMEOUT_MS / 1000} if not given.`,
    take(into, value) {
      if (!/^[1-9]\d{0,6}$/.test(value)) {
        throw new UsageError("timeout value should be a positive integer");
      }
      into.timeoutMs = Number(value) * 1000;
    },
  },
  help: { value: "", help: "Tell of the commands.", take: (into) => into.print = "help" },
  version: { value: "", help: "Print the version.", take: (into) => into.print = "version" },
  "print-logdir": {
    value: "",
    help: "Print where logs are.",
    only: "gluster",
    take: (into) => into.print = "logdir",
  },
  "print-statedumpdir": {
    value: "",
    help: "Print where statedumps are.",
    only: "gluster",
    take: (into) => into.print = "statedumpdir",
  },
  "log-file": ignored("PATH"),
  "log-level": ignored("LEVEL"),
  "secure-mgmt": ignored("BOOL"),
  inet6: ignored(""),
  nolog: ignored(""),
  wignore: {
    value: "",
    help: "Do what would be refused without force: volume create, volume add-brick.",
    only: "gluster",
    take: (into) => into.ignoreWarnings = true,
  },
  "wignore-partition": ignored(""),
};

/**
 * Takes the options out of `argv`; "--" ends them. What begins with "--" and is none of them is
 * left to our commands, and UnknownOption for GlusterFS's. Throws UsageError.
 */
export function readGlobals(argv: readonly string[], manner: Manner): Globals {
  const into: Mutable = {
    words: [],
    form: "text",
    script: false,
    ignoreWarnings: false,
    home: undefined,
    socket: undefined,
    remoteHost: undefined,
    timeoutMs: TIMEOUT_MS,
    print: undefined,
  };
  const words: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const each = argv[at]!;
    if (each === "--") {
      words.push(...argv.slice(at + 1));
      break;
    }
    const match = /^--([^=]+)(?:=(.*))?$/s.exec(each);
    const name = match?.[1] ?? "";
    const option = Object.hasOwn(GLOBAL_OPTIONS, name) ? GLOBAL_OPTIONS[name] : undefined;
    if (!match || !option || (option.only ?? manner) !== manner) {
      if (match && manner === "gluster" && !WORDS_OF_OURS.has(each)) {
        throw new UnknownOption(each.slice(2));
      }
      words.push(each);
      continue;
    }
    let value = match[2];
    if (option.value !== "" && value === undefined && manner === "mortar") value = argv[++at];
    if ((option.value === "") !== (value === undefined)) {
      if (manner === "gluster") throw new UnknownOption(each.slice(2));
      const why = option.value === "" ? "takes no value" : `needs a value, ${option.value}`;
      throw new UsageError(`Cannot read the command line: "--${name}" ${why}`);
    }
    option.take(into, value ?? "");
    if (into.print !== undefined && manner === "gluster") break;
  }
  return { ...into, words };
}
