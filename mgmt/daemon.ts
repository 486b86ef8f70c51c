/** What every long-running role needs from the system: log, pid file, name, readiness, signals. */

import {
  type Env,
  type LogLevel,
  type LogOptions,
  makeLog,
  MetricsTable,
  realClock,
  realEnv,
} from "core/env.ts";
import { fopError } from "core/errno.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { DescriptorLoop } from "core/sys/descriptor_loop.ts";
import { setCommandLine, setProcessName } from "core/sys/process_look.ts";
import { redirectSignal, SIGUSR1, SIGUSR2 } from "core/sys/signals.ts";
import { plain } from "mgmt/plain.ts";
import { DUMP_DIRECTORY } from "mgmt/statedump.ts";
import { CommandError, type OptionValues, UsageError } from "mgmt/cli/command.ts";

/** Options that all daemons take. */
export const DAEMON_OPTIONS = {
  "pid-file": {
    short: "p",
    value: "FILE",
    help: "Write the process number there; held locked while running.",
  },
  "log-file": { short: "l", value: "FILE", help: "Log there instead of standard error." },
  "log-level": {
    short: "L",
    value: "LEVEL",
    help: "error, warn, info, debug or none, or one of GlusterFS's; info if not given.",
  },
  "log-format": { value: "FORMAT", help: "text or json; text if not given." },
  "statedump-dir": {
    value: "DIR",
    help: `Where statedumps are written; ${DUMP_DIRECTORY}, or else /tmp, if not given.`,
  },
} as const;

/** Their values. */
export type DaemonValues = OptionValues<typeof DAEMON_OPTIONS>;

const LEVELS: Readonly<Record<string, LogLevel>> = {
  none: "none",
  error: "error",
  critical: "error",
  warn: "warn",
  warning: "warn",
  notice: "info",
  info: "info",
  debug: "debug",
  trace: "debug",
};

/** What a daemon looks like in process lists. */
export interface DaemonLook {
  /** Its name, 15 bytes at most. */
  readonly comm: string;
  /** Absent: "mortar" and its arguments. */
  readonly commandLine?: readonly string[];
  /** False where most of what it waits for is Deno's: two loops would take turns for each request. */
  readonly descriptors?: boolean;
}

/** A process that runs until a signal ends it. */
export class Daemon {
  readonly env: Env;
  readonly metrics = new MetricsTable();
  #log: LogFile | undefined;
  #pidFd = -1;
  #pidFile: string | undefined;
  #ended = Promise.withResolvers<number>();
  #ending = false;
  #reload = () => {};
  #dump = () => {};
  readonly #logging: { level: LogLevel };
  readonly #handlers: [Deno.Signal, () => void][] = [];

  /**
   * Opens the log, catches signals, takes the pid file and renames the process. Throws UsageError,
   * CommandError.
   */
  constructor(look: DaemonLook, values: DaemonValues) {
    const { comm, commandLine = ["mortar", ...Deno.args], descriptors = true } = look;
    const level = LEVELS[(values["log-level"] ?? "info").toLowerCase()];
    if (!level) {
      throw new UsageError(
        `Cannot log at level "${values["log-level"]}": expected ${Object.keys(LEVELS).join(", ")}`,
      );
    }
    const format = values["log-format"] ?? "text";
    if (format !== "text" && format !== "json") {
      throw new UsageError(`Cannot log as "${format}": expected text or json`);
    }
    if (values["log-file"] !== undefined) this.#log = new LogFile(values["log-file"]);
    const write = this.#log
      ? (line: string) => this.#log!.write(line)
      : (line: string) => void writeAll(Deno.stderr, line);
    const logging = { level, format, write, clock: realClock } satisfies LogOptions;
    this.#logging = logging;
    const env = realEnv(makeLog(logging), this.metrics);
    this.env = descriptors ? { ...env, descriptors: new DescriptorLoop(env) } : env;
    this.#catchSignals();
    if (values["pid-file"] !== undefined) this.#takePidFile(values["pid-file"]);
    setProcessName(comm);
    setCommandLine(commandLine);
  }

  /** What is logged from now on, to the level that it is set to. */
  get logLevel(): LogLevel {
    return this.#logging.level;
  }

  set logLevel(level: LogLevel) {
    this.#logging.level = level;
  }

  /** Resolves with the exit code when the daemon shall end. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  /** Ends the daemon with that exit code; the first call counts. */
  end(exitCode: number): void {
    this.#ending = true;
    this.#ended.resolve(exitCode);
  }

  /** From now on SIGHUP calls `reload`, and SIGUSR1 and SIGUSR2 call `dump`. */
  handle({ reload, dump }: { reload: () => void; dump: () => void }): void {
    this.#reload = reload;
    this.#dump = dump;
  }

  // SIGTERM and SIGINT end the daemon, a second one at once. Signals that come before there is
  // anything to reload or dump do nothing: their default would end the process.
  #catchSignals(): void {
    const stop = () => {
      if (this.#ending) Deno.exit(1);
      this.env.log.info("stopping");
      this.end(0);
    };
    this.#on("SIGTERM", stop);
    this.#on("SIGINT", stop);
    this.#on("SIGHUP", () => {
      const why = this.#log?.reopen();
      if (why !== undefined) this.env.log.error("log goes on in the old file", { why });
      this.#reload();
    });
    this.#on("SIGUSR1", () => {});
    this.#on("SIGUSR2", () => this.#dump());
    // SIGUSR1 is GlusterFS's signal for a statedump, and Deno's for opening its debugger.
    redirectSignal(SIGUSR1, SIGUSR2);
  }

  #on(signal: Deno.Signal, handle: () => void): void {
    Deno.addSignalListener(signal, handle);
    this.#handlers.push([signal, handle]);
  }

  /** Logs the "ready" line with `fields` and tells systemd, if it started us. */
  ready(message: string, fields: Record<string, string | number>): void {
    this.env.log.info(message, { ...fields, pid: Deno.pid });
    const error = notify("READY=1");
    if (error) this.env.log.warn("service manager was not told", { why: error });
  }

  /** Gives back the pid file, the log and the signals. */
  close(): void {
    for (const [signal, handle] of this.#handlers) Deno.removeSignalListener(signal, handle);
    if (this.#pidFile !== undefined) {
      try {
        Deno.removeSync(this.#pidFile);
      } catch (error) {
        // Somebody tidied up before us: that is what was wanted.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      sys.close(this.#pidFd);
    }
    this.#log?.close();
  }

  #takePidFile(path: string): void {
    const O_RDWR = 2, O_CREAT = 0o100, O_CLOEXEC = 0o2000000, AT_FDCWD = -100;
    const fd = sys.openat(AT_FDCWD, cstring(path), O_RDWR | O_CREAT | O_CLOEXEC, 0o644);
    if (fd < 0) throw new CommandError(`Cannot write pid file "${path}": ${reason(fd)}`);
    const LOCK_EX_NB = 6;
    if (sys.flock(fd, LOCK_EX_NB) < 0) {
      const holder = Deno.readTextFileSync(path).trim();
      sys.close(fd);
      throw new CommandError(
        `Cannot take pid file "${path}": process ${holder || "(unknown)"} is running with it; ` +
          `stop that one or name another file`,
      );
    }
    const text = new TextEncoder().encode(`${Deno.pid}\n`);
    sys.ftruncate(fd, 0);
    sys.write(fd, text, text.length);
    this.#pidFd = fd;
    this.#pidFile = path;
  }
}

/** A file that lines are appended to; opened anew after rotation. */
class LogFile {
  #file: Deno.FsFile;
  constructor(readonly path: string) {
    this.#file = this.#open();
  }

  write(line: string): void {
    writeAll(this.#file, line);
  }

  /** After rotation: later lines go to a new file. Answers why not, and goes on with the old one. */
  reopen(): string | undefined {
    const old = this.#file;
    try {
      this.#file = this.#open();
    } catch (error) {
      return plain(error);
    }
    old.close();
    return undefined;
  }

  close(): void {
    this.#file.close();
  }

  #open(): Deno.FsFile {
    try {
      return Deno.openSync(this.path, { append: true, create: true });
    } catch (error) {
      throw new CommandError(`Cannot open log file "${this.path}": ${plain(error)}`);
    }
  }
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch {
    // A full disk, a reader that is gone: a daemon goes on without the line, and nobody can be told.
  }
}

/** Sends `state` to the service manager named by $NOTIFY_SOCKET, if there is one (sd_notify(3)). */
function notify(state: string): string | undefined {
  const path = Deno.env.get("NOTIFY_SOCKET");
  if (!path) return undefined;
  const AF_UNIX = 1, SOCK_DGRAM_CLOEXEC = 0o2000002, PATH_MAX = 107;
  const name = new TextEncoder().encode(path);
  if (name.length > PATH_MAX) return "its socket's path is too long";
  if (name[0] === "@".charCodeAt(0)) name[0] = 0; // an abstract name
  const address = new Uint8Array(2 + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  const fd = sys.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return reason(fd);
  const bytes = new TextEncoder().encode(state);
  const sent = sys.sendto(fd, bytes, bytes.length, 0, address, address.length);
  sys.close(fd);
  return sent < 0 ? reason(sent) : undefined;
}

/** What a system call's negative result says, for people. */
function reason(result: number): string {
  return fopError(result).message.replace(/^E\w+: /, "");
}
