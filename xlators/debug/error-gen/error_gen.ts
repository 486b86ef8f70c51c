import type { Call } from "core/call.ts";
import * as errno from "core/errno.ts";
import type { FopError } from "core/errno.ts";
import { fops } from "core/fop_options.ts";
import { type Args, type FopKind, type FopName, FOPS, type Reply } from "core/fops.ts";
import { bool, oneOf, type OptionTable, percent, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";

const CODES = [
  "ENOENT",
  "ENOTDIR",
  "ENAMETOOLONG",
  "EACCES",
  "EBADF",
  "EFAULT",
  "ENOMEM",
  "EINVAL",
  "EIO",
  "EEXIST",
  "ENOSPC",
  "EPERM",
  "EROFS",
  "EBUSY",
  "EISDIR",
  "ENOTEMPTY",
  "EMLINK",
  "ENODEV",
  "EXDEV",
  "EMFILE",
  "ENFILE",
  "ENOSYS",
  "EINTR",
  "EFBIG",
  "EAGAIN",
  "ENOTCONN",
  "ESTALE",
  "EDQUOT",
  "ETIMEDOUT",
] as const;

const options = {
  failure: percent({
    default: 10,
    volumeKey: "debug.error-failure",
    help: "How many of a hundred fops fail.",
  }),
  "error-no": oneOf(["any", ...CODES], {
    default: "any",
    volumeKey: "debug.error-number",
    help: "With which error; any: one that such a fop may have.",
  }),
  "random-failure": bool({
    default: false,
    volumeKey: "debug.random-failure",
    help: "Instead of a share: one fop fails, then 2 to 43 do not.",
  }),
  enable: fops({
    volumeKey: "debug.error-fops",
    help: "Which fops fail; empty: all but release and releasedir, whose failure would leak files.",
  }),
} satisfies OptionTable;

const { EACCES, EAGAIN, EBADF, EDQUOT, EINTR, EIO, EMFILE, ENOENT, ENOLCK, ENOMEM } = errno;
const { ENOSPC, EROFS, ESTALE } = errno;
const LIKELY: Readonly<Record<FopKind, readonly FopError[]>> = {
  inspect: [ENOENT, ESTALE, EACCES, EIO, ENOMEM],
  modify: [ENOENT, ESTALE, EACCES, EIO, ENOMEM, ENOSPC, EDQUOT, EROFS],
  lock: [EAGAIN, EINTR, ENOLCK, ENOMEM],
  handle: [ENOENT, EBADF, EIO, EMFILE, ENOMEM],
};

// Longest run without failure under random-failure.
const RUN_MIN = 2, RUN_MAX = 43;

class ErrorGen extends Uniform {
  #values: Values<typeof options>;
  #untilFailure: number;
  #failures = 0;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
    this.#untilFailure = this.#run();
  }

  reconfigure(values: Values<typeof options>): void {
    this.#values = values;
  }

  state(): Json {
    return { failures: this.#failures };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (!this.#fails(fop)) return this.wind(fop, call, args);
    this.#failures++;
    const failure = this.#failureOf(fop);
    this.env.log.debug("fop made to fail", { fop: FOPS[fop].label, error: failure.code });
    return Promise.reject(failure);
  }

  #fails(fop: FopName): boolean {
    const { enable, failure, "random-failure": random } = this.#values;
    const enabled = enable.size ? enable.has(fop) : fop !== "release" && fop !== "releasedir";
    if (!enabled) return false;
    if (!random) return this.env.random.int(1e6) < failure * 1e4;
    if (this.#untilFailure-- > 0) return false;
    this.#untilFailure = this.#run();
    return true;
  }

  #run(): number {
    return RUN_MIN + this.env.random.int(RUN_MAX - RUN_MIN + 1);
  }

  #failureOf(fop: FopName): FopError {
    const code = this.#values["error-no"];
    if (code !== "any") return errno[code];
    const likely = LIKELY[FOPS[fop].kind];
    return likely[this.env.random.int(likely.length)]!;
  }
}

/** `debug/error-gen`: makes some fops fail. */
export const errorGen = defineXlator({
  type: "debug/error-gen",
  summary: "Make some fops fail, to see what failure does",
  options,
  subvolumes: "one",
  create: (node, values) => new ErrorGen(node, values),
});
