import { bool, int, type OptionTable } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { PassThrough } from "core/xlator.ts";

const threads = { min: 1, max: 64 } as const;
const UNUSED = "Accepted and without effect: fops run on one event loop.";

const options = {
  "thread-count": int({
    ...threads,
    default: 16,
    volumeKey: "performance.io-thread-count",
    help: UNUSED,
  }),
  "high-prio-threads": int({
    ...threads,
    default: 16,
    volumeKey: "performance.high-prio-threads",
    help: UNUSED,
  }),
  "normal-prio-threads": int({
    ...threads,
    default: 16,
    volumeKey: "performance.normal-prio-threads",
    help: UNUSED,
  }),
  "low-prio-threads": int({
    ...threads,
    default: 16,
    volumeKey: "performance.low-prio-threads",
    help: UNUSED,
  }),
  "least-prio-threads": int({
    ...threads,
    default: 1,
    volumeKey: "performance.least-prio-threads",
    help: UNUSED,
  }),
  "enable-least-priority": bool({
    default: false,
    volumeKey: "performance.enable-least-priority",
    help: UNUSED,
  }),
  "idle-time": int({ default: 120, min: 1, max: 0x7fffffff, help: UNUSED }),
  "watchdog-secs": int({
    default: 0,
    min: 0,
    volumeKey: "performance.iot-watchdog-secs",
    help: UNUSED,
  }),
  "cleanup-disconnected-reqs": bool({
    default: false,
    volumeKey: "performance.iot-cleanup-disconnected-reqs",
    help: UNUSED,
  }),
  "pass-through": bool({
    default: false,
    volumeKey: "performance.iot-pass-through",
    help: UNUSED,
  }),
} satisfies OptionTable;

/** Keeps volfiles of GlusterFS working: there, fops are handed to a pool of threads. */
class IoThreads extends PassThrough {
  // Not async: there is nothing to wait for.
  start(): Promise<void> {
    this.env.log.info("io-threads passes every fop on: storage decides what leaves the event loop");
    return Promise.resolve();
  }

  reconfigure(): void {}
}

/** `performance/io-threads`: accepted so that volfiles of GlusterFS load; passes every fop on. */
export const ioThreads = defineXlator({
  type: "performance/io-threads",
  summary: "Accepted for volfiles of GlusterFS; passes every fop on",
  options,
  subvolumes: "one",
  create: (node) => new IoThreads(node),
});
