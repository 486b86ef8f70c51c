import type { Call } from "core/call.ts";
import { EINVAL, EIO, EPERM } from "core/errno.ts";
import { type Args, DONE, type Empty, type FopName, type Reply } from "core/fops.ts";
import { type Fd, PerFd } from "core/inode.ts";
import { bool, int, optionalText, type OptionTable, text, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import type { Statistics } from "core/reports.ts";
import { textKey, type Xdata } from "core/xdata.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { Figures } from "xlators/debug/io-stats/figures.ts";
import { TopFiles } from "xlators/debug/io-stats/top.ts";

const UNUSED = "Accepted for volfiles of GlusterFS, without effect.";
const unused = () => optionalText({ help: UNUSED });

const options = {
  "latency-measurement": bool({
    default: false,
    volumeKey: "diagnostics.latency-measurement",
    help: "Measure how long each fop takes.",
  }),
  "count-fop-hits": bool({
    default: false,
    volumeKey: "diagnostics.count-fop-hits",
    help: "Count fops, bytes and sizes of blocks.",
  }),
  "dump-directory": text({
    default: "/var/run/gluster",
    help: "Where setting trusted.io-stats-dump writes its file.",
  }),
  "dump-fd-stats": unused(),
  "ios-dump-interval": int({
    default: 0,
    min: 0,
    max: 3600,
    volumeKey: "diagnostics.stats-dump-interval",
    help: "Seconds between dumps to a file in dump-directory; 0: none.",
  }),
  "ios-sample-interval": unused(),
  "ios-dump-format": unused(),
  "ios-sample-buf-size": unused(),
  "ios-dnscache-ttl-sec": unused(),
  "log-level": unused(),
  "client-log-level": unused(),
  "brick-log-level": unused(),
  "sys-log-level": unused(),
  logger: unused(),
  "client-logger": unused(),
  "brick-logger": unused(),
  "log-format": unused(),
  "client-log-format": unused(),
  "brick-log-format": unused(),
  "log-buf-size": unused(),
  "client-log-buf-size": unused(),
  "brick-log-buf-size": unused(),
  "log-flush-timeout": unused(),
  "client-log-flush-timeout": unused(),
  "brick-log-flush-timeout": unused(),
  "unique-id": unused(),
  "volume-id": unused(),
  "global-threading": unused(),
  threads: unused(),
  "brick-threads": unused(),
  "client-threads": unused(),
} satisfies OptionTable;

/** Setting this xattr on anything writes a dump; the value is the name of the file. */
const DUMP = textKey("trusted.io-stats-dump");
const DUMP_NAME_MAX = 128;

class IoStats extends Uniform {
  #latency = false;
  #count = false;
  #directory: string;
  #dumpSec = 0;
  #dumping: { cancel(): void } | undefined;
  #cumulative: Figures;
  #interval: Figures;
  #intervalNumber = 0;
  #top = new TopFiles();
  // Open files that were counted when opened.
  #counted = new PerFd<true>();
  #openCount = 0;
  #openMost = 0;
  #openMostAt = 0;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#directory = values["dump-directory"];
    const now = this.env.clock.monotonic();
    this.#cumulative = new Figures(now);
    this.#interval = new Figures(now);
    this.#take(values);
  }

  start(): Promise<void> {
    this.#schedule();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#dumping?.cancel();
    return Promise.resolve();
  }

  reconfigure(values: Values<typeof options>): void {
    this.#take(values);
    this.#schedule();
  }

  #take(values: Values<typeof options>): void {
    this.#latency = values["latency-measurement"];
    this.#count = values["count-fop-hits"];
    this.#directory = values["dump-directory"];
    this.#dumpSec = values["ios-dump-interval"];
  }

  #schedule(): void {
    this.#dumping?.cancel();
    this.#dumping = this.#dumpSec
      ? this.env.clock.every(
        this.#dumpSec * 1000,
        () => void this.#dump("io-stats"),
      )
      : undefined;
  }

  /** A look that starts no new interval. */
  state(): Json {
    const now = this.env.clock.monotonic();
    return {
      cumulative: this.#cumulative.toJson(now),
      interval: this.#interval.toJson(now),
      "open-files": {
        now: this.#openCount,
        most: this.#openMost,
        "most-at": this.#openMostAt ? new Date(this.#openMostAt).toISOString() : null,
      },
      top: this.#top.toJson(),
    };
  }

  /** For `volume profile` and `volume top`. */
  readonly statistics: Statistics = {
    cumulative: () => this.#cumulative.report(this.env.clock.monotonic()),
    interval: (peek) => {
      const now = this.env.clock.monotonic();
      const answer = { number: this.#intervalNumber, period: this.#interval.report(now) };
      if (!peek) {
        this.#interval = new Figures(now);
        this.#intervalNumber++;
      }
      return answer;
    },
    clear: () => {
      const now = this.env.clock.monotonic();
      this.#cumulative = new Figures(now);
      this.#interval = new Figures(now);
      this.#intervalNumber = 0;
    },
    opens: () => ({ now: this.#openCount, most: this.#openMost, mostAt: this.#openMostAt }),
    top: (kind, count) => this.#top.list(kind, count),
    clearTop: () => {
      this.#top = new TopFiles();
    },
  };

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "setxattr" && (args as Args<"setxattr">).xattrs?.has(DUMP)) {
      return this.#dumpAsked(call, args as Args<"setxattr">) as Promise<Reply<K>>;
    }
    this.#used(fop, args);
    if (this.#count) this.#came(fop, args);
    // Nobody waits for a release, and GlusterFS takes no time of it.
    const timed = this.#latency && fop !== "release" && fop !== "releasedir";
    return timed ? this.#timed(fop, call, args) : this.#followed(fop, call, args);
  }

  // Files in use are counted at any time: `volume top` needs no start.
  #used<K extends FopName>(fop: K, args: Args<K>): void {
    switch (fop) {
      case "writev":
        return this.#top.used("write", (args as Args<"writev">).fd.inode.gfid);
      case "readv":
        return this.#top.used("read", (args as Args<"readv">).fd.inode.gfid);
      case "readdirp":
        return this.#top.used("readdirp", (args as Args<"readdirp">).fd.inode.gfid);
      case "release":
        return this.#closed((args as Args<"release">).fd);
    }
  }

  #came<K extends FopName>(fop: K, args: Args<K>): void {
    this.#cumulative.hit(fop);
    this.#interval.hit(fop);
    if (fop !== "writev") return;
    const { data } = args as Args<"writev">;
    this.#cumulative.wrote(data.length);
    this.#interval.wrote(data.length);
  }

  // Fops whose answer is counted, too; the rest keep the child's promise.
  #followed<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const answer = this.wind(fop, call, args);
    const opens = fop === "open" || fop === "create" || fop === "opendir";
    if (!opens && (fop !== "readv" || !this.#count)) return answer;
    return answer.then((reply) => {
      this.#answered(fop, reply);
      return reply;
    });
  }

  #answered<K extends FopName>(fop: K, reply: Reply<K>): void {
    switch (fop) {
      case "readv": {
        if (!this.#count) return;
        const { data } = reply as Reply<"readv">;
        this.#cumulative.read(data.length);
        return this.#interval.read(data.length);
      }
      case "open":
        this.#top.used("open", (reply as Reply<"open">).fd.inode.gfid);
        return this.#opened((reply as Reply<"open">).fd);
      case "create":
        return this.#opened((reply as Reply<"create">).fd);
      case "opendir":
        return this.#top.used("opendir", (reply as Reply<"opendir">).fd.inode.gfid);
    }
  }

  #timed<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const began = this.env.clock.monotonic();
    const took = () => {
      const ms = this.env.clock.monotonic() - began;
      this.#cumulative.took(fop, ms);
      this.#interval.took(fop, ms);
      return ms;
    };
    return this.wind(fop, call, args).then((reply) => {
      const ms = took();
      this.#answered(fop, reply);
      this.#measured(fop, args, reply, ms);
      return reply;
    }, (error) => {
      took();
      throw error;
    });
  }

  #measured<K extends FopName>(fop: K, args: Args<K>, reply: Reply<K>, ms: number): void {
    const at = this.env.clock.now();
    if (fop === "readv") {
      const { gfid } = (args as Args<"readv">).fd.inode;
      this.#top.moved("read-throughput", gfid, (reply as Reply<"readv">).data.length, ms, at);
    } else if (fop === "writev") {
      const { fd, data } = args as Args<"writev">;
      this.#top.moved("write-throughput", fd.inode.gfid, data.length, ms, at);
    }
  }

  #opened(fd: Fd): void {
    this.#counted.set(fd, true);
    if (++this.#openCount <= this.#openMost) return;
    this.#openMost = this.#openCount;
    this.#openMostAt = this.env.clock.now();
  }

  #closed(fd: Fd): void {
    if (!this.#counted.get(fd)) return;
    this.#counted.delete(fd);
    this.#openCount--;
  }

  async #dumpAsked(call: Call, args: Args<"setxattr">): Promise<Empty> {
    if (call.uid !== 0) throw EPERM;
    const name = args.xattrs!.get(DUMP);
    if (!name || name.length > DUMP_NAME_MAX || /[\0/]/.test(name) || name.startsWith(".")) {
      throw EINVAL;
    }
    if (!await this.#dump(name)) throw EIO;
    const xattrs: Xdata | undefined = args.xattrs!.without(DUMP.name);
    return xattrs ? this.child.setxattr(call, { ...args, xattrs }) : DONE;
  }

  // False if there is no file; the log says why.
  async #dump(name: string): Promise<boolean> {
    const path = `${this.#directory}/${name}.${this.name.replaceAll("/", "-")}`;
    const dump = JSON.stringify(this.state(), undefined, 1) + "\n";
    this.#interval = new Figures(this.env.clock.monotonic());
    try {
      await Deno.mkdir(this.#directory, { recursive: true });
      await Deno.writeTextFile(path, dump);
      return true;
    } catch (error) {
      this.env.log.warn("statistics could not be written", { path, error: String(error) });
      return false;
    }
  }
}

/** `debug/io-stats`: counts and times what passes. */
export const ioStats = defineXlator({
  type: "debug/io-stats",
  summary: "Count fops and bytes, measure latencies",
  options,
  subvolumes: "one",
  create: (node, values) => new IoStats(node, values),
});
