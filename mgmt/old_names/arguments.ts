/**
 * Command lines of GlusterFS's daemons, which are one program: `glusterd`, `glusterfsd` and
 * `glusterfs` take the same options, in the manner of GNU: `--name value`, `--name=value`, names cut
 * short, `-xVALUE`.
 */

import { UsageError } from "mgmt/cli/command_error.ts";
import { GLUSTERD_PLACES } from "mgmt/home.ts";
import { VERSION } from "mgmt/version.ts";

/** The release whose programs these are; tools take it from the first line of `--version`. */
const GLUSTERFS = "10.3";

/** Options with a value, one letter before the name where there is one. */
const VALUED = [
  "s volfile-server",
  "f volfile",
  "spec-file",
  "L log-level",
  "l log-file",
  "logger",
  "log-format",
  "log-buf-size",
  "log-flush-timeout",
  "volfile-server-port",
  "volfile-server-transport",
  "volfile-id",
  "p pid-file",
  "S socket-file",
  "run-id",
  "volume-name",
  "xlator-option",
  "subdir-mount",
  "volfile-max-fetch-attempts",
  "brick-name",
  "brick-port",
  "process-name",
  "client-pid",
  "entry-timeout",
  "attribute-timeout",
  "negative-timeout",
  "oom-score-adj",
  "fuse-mountopts",
  "gid-timeout",
  "background-qlen",
  "congestion-threshold",
  "lru-limit",
  "inode-table-size",
  "invalidate-limit",
  "reader-thread-count",
  "attr-times-granularity",
  "fuse-dev-eperm-ratelimit-ns",
  "dump-fuse",
];

/** Options without one; those of a few may have one behind "=". */
const PLAIN = [
  "N no-daemon",
  "debug",
  "V version",
  "? help",
  "usage",
  "print-logdir",
  "print-statedumpdir",
  "print-xlatordir",
  "print-libexecdir",
  "read-only",
  "worm",
  "acl",
  "selinux",
  "aux-gfid-mount",
  "no-mem-accounting",
  "mem-accounting",
  "localtime-logging",
  "global-timer-wheel",
  "global-threading",
  "secure-mgmt",
  "brick-mux",
  "io-engine",
  "direct-io-mode",
  "use-readdirp",
  "fopen-keep-cache",
  "auto-invalidation",
  "event-history",
  "kernel-writeback-cache",
  "resolve-gids",
  "no-root-squash",
  "enable-ino32",
  "volfile-check",
  "thin-client",
  "capability",
  "mac-compat",
  "fuse-flush-handle-interrupt",
  "fuse-setlk-handle-interrupt",
  "fuse-handle-copy_file_range",
];

interface OldOption {
  readonly name: string;
  readonly letter: string | undefined;
  readonly valued: boolean;
}

const OPTIONS: readonly OldOption[] = [
  ...VALUED.map((line) => optionOf(line, true)),
  ...PLAIN.map((line) => optionOf(line, false)),
];

function optionOf(line: string, valued: boolean): OldOption {
  const [first, second] = line.split(" ");
  return second === undefined
    ? { name: first!, letter: undefined, valued }
    : { name: second, letter: first, valued };
}

/** What a command line says. */
export class OldArguments {
  readonly #given = new Map<string, string[]>();
  /** Words that are no options: a mount point. */
  readonly operands: string[] = [];

  /** Reads one. Throws UsageError; `program` is named in it. */
  constructor(readonly program: string, argv: readonly string[]) {
    const words = [...argv];
    for (let word; (word = words.shift()) !== undefined;) {
      if (word === "--") this.operands.push(...words.splice(0));
      else if (word.startsWith("--")) this.#long(word.slice(2), words);
      else if (word.startsWith("-") && word !== "-") this.#letters(word.slice(1), words);
      else this.operands.push(word);
    }
  }

  #long(word: string, rest: string[]): void {
    const [name = "", ...value] = word.split("=");
    const option = this.#find(name);
    if (!option.valued) return this.#add(option, value.join("="));
    this.#add(option, value.length ? value.join("=") : this.#next(`--${name}`, rest));
  }

  #letters(word: string, rest: string[]): void {
    for (let at = 0; at < word.length; at++) {
      const option = OPTIONS.find(({ letter }) => letter === word[at]);
      if (!option) throw this.#wrong(`there is no option "-${word[at]}"`);
      if (!option.valued) {
        this.#add(option, "");
        continue;
      }
      const value = word.slice(at + 1);
      return this.#add(option, value || this.#next(`-${word[at]}`, rest));
    }
  }

  #find(name: string): OldOption {
    const exact = OPTIONS.find((each) => each.name === name);
    if (exact) return exact;
    const [only, ...more] = OPTIONS.filter((each) => each.name.startsWith(name));
    if (name !== "" && only && !more.length) return only;
    throw this.#wrong(
      `${only && name ? "not clear which option is meant by" : "there is no option"} "--${name}"`,
    );
  }

  #next(option: string, rest: string[]): string {
    const value = rest.shift();
    if (value === undefined) throw this.#wrong(`"${option}" needs a value`);
    return value;
  }

  #add({ name }: OldOption, value: string): void {
    const before = this.#given.get(name);
    if (before) before.push(value);
    else this.#given.set(name, [value]);
  }

  #wrong(why: string): UsageError {
    return new UsageError(`Cannot run "${this.program}": ${why}`);
  }

  /** Whether an option is there. */
  has(name: string): boolean {
    return this.#given.has(name);
  }

  /** Names of all options that are there, in order. */
  get names(): Iterable<string> {
    return this.#given.keys();
  }

  /** Its last value. */
  last(name: string): string | undefined {
    return this.#given.get(name)?.at(-1);
  }

  /** All its values. */
  all(name: string): readonly string[] {
    return this.#given.get(name) ?? [];
  }

  /** Whether it stays in front of who started it. */
  get staysInFront(): boolean {
    return this.has("no-daemon") || this.has("debug");
  }

  /** What to print and end, if that is asked for. */
  get printed(): string | undefined {
    if (this.has("version")) {
      return `glusterfs ${GLUSTERFS}\nmortar ${VERSION}, in the manner of glusterfs ${GLUSTERFS}\n`;
    }
    if (this.has("print-logdir")) return `${GLUSTERD_PLACES.logs}\n`;
    if (this.has("print-statedumpdir")) return `${GLUSTERD_PLACES.run}\n`;
    if (!this.has("help") && !this.has("usage")) return undefined;
    const names = OPTIONS.map(({ name, letter, valued }) =>
      `  ${letter ? `-${letter}, ` : "    "}--${name}${valued ? "=VALUE" : ""}\n`
    );
    return `Usage: ${this.program} [OPTION...]\n\nThe options of GlusterFS's daemons:` +
      `\n\n${names.join("")}`;
  }

  /** Level and file of the log, as our commands take them. `file`: if none is given. */
  log(file: string | undefined): string[] {
    const given = this.last("log-file");
    const path = given === "-" || this.has("debug") ? undefined : given ?? file;
    const level = this.has("debug") ? "debug" : this.last("log-level");
    return [
      ...path === undefined ? [] : ["--log-file", path],
      ...level === undefined ? [] : ["--log-level", level.toLowerCase()],
    ];
  }
}
