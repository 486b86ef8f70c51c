/**
 * mount/fuse: the layer on top of a client's graph that a directory of this machine shows. It speaks
 * with the kernel directly. See README.md.
 */

import type { GraphEvent } from "core/events.ts";
import { mountWords } from "core/lib/mount_words.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, PassThrough } from "core/xlator.ts";
import { Bridge } from "xlators/mount/fuse/bridge.ts";
import { Device, type Serve } from "xlators/mount/fuse/device.ts";
import { Dump } from "xlators/mount/fuse/dump.ts";
import { Invalidator } from "xlators/mount/fuse/invalidate.ts";
import { mount, type Mounted } from "xlators/mount/fuse/mount.ts";
import { type FuseValues, options } from "xlators/mount/fuse/options.ts";
import { setReadAhead } from "xlators/mount/fuse/read_ahead.ts";
import { sys } from "core/sys/calls.ts";

/** See the head of this file. */
export class Fuse extends PassThrough {
  #values: FuseValues;
  #mounted: Mounted | undefined;
  #bridge: Bridge | undefined;
  #invalidator: Invalidator | undefined;
  #ended = Promise.withResolvers<string>();

  constructor(node: Node, values: FuseValues) {
    super(node);
    this.#values = values;
  }

  /** Resolves, with why, when the mount is gone, whoever took it off. */
  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  /** Mounts; resolves when the kernel can be served. Throws Error saying why not. */
  async start(): Promise<void> {
    const values = this.#values;
    const { env, inodes } = this;
    inodes.holdAtMost(values["lru-limit"]);
    const { "dump-fuse": dumpFile } = values;
    const dump = dumpFile === undefined ? undefined : await Dump.begin(dumpFile, env);
    const mounted = await mount({
      directory: values.mountpoint,
      source: values["volume-name"],
      subtype: values.subtype,
      readOnly: values["read-only"],
      options: mountWords(values["fuse-mountopts"] ?? ""),
    });
    const { fd } = mounted;
    this.#mounted = mounted;
    const plainSend = Device.sender(fd, env);
    const send = dump?.keeping(plainSend) ?? plainSend;
    // On another thread: the kernel may wait for pages that only this one can give it.
    const writeAsync = (bytes: Uint8Array<ArrayBuffer>, size: number) =>
      sys.writeAsync(fd, bytes, size);
    const write = dump?.keepingAsync(writeAsync) ?? writeAsync;
    const notify = (bytes: Uint8Array<ArrayBuffer>) => write(bytes, bytes.length);
    const crowded = () => this.#invalidator?.crowded();
    const bridge = new Bridge({ top: this.child, inodes, env, values, send, notify, crowded });
    this.#bridge = bridge;
    const invalidator = this.#invalidator = new Invalidator({
      nodes: bridge.nodes,
      inodes,
      env,
      prunes: () => bridge.prunes,
      validity: () => bridge.validity,
      limit: () => bridge.values["lru-limit"],
      write,
    });
    const serve: Serve = (from, at, size) => bridge.serve(from, at, size);
    const kept: Serve | undefined = dump && ((from, at, size) => {
      dump.received(from.bytes.subarray(at, at + size));
      return serve(from, at, size);
    });
    const device = new Device(fd, env, kept ?? serve);
    device.run().then(async (why) => {
      await invalidator.stop();
      dump?.close();
      sys.close(fd);
      this.#ended.resolve(why);
    });
    await Promise.race([
      bridge.initialized,
      this.ended.then((why) => {
        throw new Error(`Cannot mount on "${values.mountpoint}": ${why}`);
      }),
    ]);
    const { mountpoint, subtype, "kernel-read-ahead": readAhead } = values;
    if (readAhead && !setReadAhead(mountpoint, `fuse.${subtype}`, readAhead)) {
      env.log.info("kernel reads ahead as far as it does by itself", { mountpoint });
    }
  }

  /** Takes the mount off, and waits until the kernel has let go of it. */
  async stop(): Promise<void> {
    await this.#mounted?.unmount();
  }

  protected override heard(event: GraphEvent): void {
    this.#bridge?.heard(event);
    this.#invalidator?.hear(event);
    this.emit(event);
  }

  reconfigure(values: FuseValues): void {
    this.#values = values;
    this.inodes.holdAtMost(values["lru-limit"]);
    this.#bridge?.reconfigure(values);
  }

  state(): Json {
    const bridge = this.#bridge;
    return {
      mountpoint: this.#values.mountpoint,
      calls: bridge?.calls ?? 0,
      underWay: bridge?.underWay ?? 0,
      inodes: bridge?.nodes.size ?? 0,
      openFiles: bridge?.handles.size ?? 0,
    };
  }
}

/** `mount/fuse`: shows a client's graph as a directory. */
export const fuse = defineXlator({
  type: "mount/fuse",
  summary: "Show a volume as a directory of this machine",
  options,
  subvolumes: "one",
  check: (values) => values.mountpoint === "" ? 'option "mountpoint" is missing' : undefined,
  create: (node, values) => new Fuse(node, values),
});
