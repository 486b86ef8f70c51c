/**
 * Virtual machines: a small disk that boots Debian's kernel, counts its boots, and writes a block a
 * second, run by QEMU without hardware acceleration (TCG).
 */

import { Changing } from "tests/e2e/changing.ts";
import type { Namespace } from "tests/e2e/process.ts";
import { must } from "tests/e2e/process.ts";

/** What making the disk and running it needs. */
export const GUEST_PROGRAMS = [
  ...["qemu-system-x86_64", "syslinux", "mcopy", "mkfs.vfat", "busybox", "cpio"],
  "/usr/share/doc/linux-image-cloud-amd64",
];
/** How long booting may take: seconds on a quiet machine. */
export const BOOT_MS = 240_000;
/** Where its blocks are, and how large they are. */
const FIRST_BLOCK = 12_288, BLOCK_BYTES = 4096;

/** Makes the disk, in a directory of its own inside `directory`; answers its path. */
export async function guestDisk(directory: string): Promise<string> {
  const disk = `${directory}/guest.raw`, parts = `${directory}/guest-parts`;
  const script = new URL("./guest_image.sh", import.meta.url).pathname;
  await must([script, disk, parts], { timeoutMs: 60_000 });
  return disk;
}

/** The first line of a block that a guest wrote; "": it wrote none. */
export function blockLine(disk: Uint8Array, block: number): string {
  const bytes = disk.subarray((FIRST_BLOCK + block) * BLOCK_BYTES).subarray(0, BLOCK_BYTES);
  return new TextDecoder().decode(bytes.subarray(0, Math.max(0, bytes.indexOf(10))));
}

/** Where a guest runs, and what is particular of it. */
export interface GuestOptions {
  readonly space: Namespace;
  /** For its socket. */
  readonly directory: string;
  readonly name: string;
  /** Its disk, as `-blockdev` takes it; its node is called "disk". */
  readonly disk: Readonly<Record<string, unknown>>;
  /** It does not boot: it waits for another's state on this socket. */
  readonly incoming?: string;
}

/** A guest of raw format on a protocol's node. */
export function rawDisk(file: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { driver: "raw", "node-name": "disk", file };
}

/** One that runs. */
export class Guest implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #monitor: string;
  #said = "";
  readonly #output = new Changing();
  readonly #reading: Promise<unknown>;

  constructor({ space, directory, name, disk, incoming }: GuestOptions) {
    this.#monitor = `${directory}/${name}.qmp`;
    const [program, ...args] = space.inside([
      ...["qemu-system-x86_64", "-accel", "tcg", "-M", "pc", "-m", "192", "-nodefaults"],
      ...["-display", "none", "-serial", "stdio", "-no-reboot"],
      ...["-qmp", `unix:${this.#monitor},server=on,wait=off`],
      ...["-blockdev", JSON.stringify(disk)],
      ...["-device", "virtio-blk-pci,drive=disk,id=vda,share-rw=on"],
      ...incoming === undefined ? [] : ["-incoming", `unix:${incoming}`],
    ]);
    this.#child = new Deno.Command(program!, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([
      this.#read(this.#child.stdout),
      this.#read(this.#child.stderr),
    ]).then(() => this.#output.end());
  }

  async #read(from: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of from.pipeThrough(new TextDecoderStream())) {
      this.#said += text;
      this.#output.changed();
    }
  }

  /** What its serial line said first that `pattern` fits, from its character number `from` on. */
  says(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    return this.#output.until(
      () => pattern.exec(this.#said.slice(from)) ?? undefined,
      () => `Never said ${pattern}; said:\n${this.#said}`,
      BOOT_MS,
    );
  }

  /** How often it has booted, once it is up. */
  async boots(): Promise<number> {
    return Number((await this.says(/GUEST UP (\d+)\r?\n/))[1]);
  }

  /** Resolves when it has written two blocks more than it had; answers the number of the last. */
  async writes(): Promise<number> {
    const from = this.#said.length;
    return Number((await this.says(/TICK \d+\r?\n[^]*TICK (\d+)\r?\n/, from))[1]);
  }

  /** Switches it off in order; answers how many blocks it wrote. */
  async off(): Promise<number> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("off\n"));
    writer.releaseLock();
    const [, blocks] = await this.says(/GUEST OFF (\d+)\r?\n/);
    await this.#child.status;
    return Number(blocks);
  }

  /** Orders of QEMU's monitor, one after the other; answers what the last one answered. */
  async orders(...all: readonly (readonly [string, unknown?])[]): Promise<unknown> {
    const monitor = await Monitor.connect(this.#monitor);
    try {
      let answer: unknown;
      for (const [execute, args] of all) answer = await monitor.order(execute, args);
      return answer;
    } finally {
      monitor.close();
    }
  }

  /** Sends orders and resolves when QEMU tells of an event; answers its data. */
  async until(event: string, ...orders: readonly (readonly [string, unknown?])[]) {
    const monitor = await Monitor.connect(this.#monitor);
    try {
      for (const [execute, args] of orders) await monitor.order(execute, args);
      return await monitor.event(event);
    } finally {
      monitor.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#child.stdin.close().catch(() => {});
    await this.#reading;
    await this.#child.status;
  }
}

interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: Record<string, unknown>;
}

/** QMP: a JSON text in each line. */
class Monitor {
  readonly #connection: Deno.UnixConn;
  readonly #lines: AsyncIterator<string>;
  readonly #events: Message[] = [];

  private constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
    this.#lines = linesOf(connection);
  }

  static async connect(path: string): Promise<Monitor> {
    const monitor = new Monitor(await Deno.connect({ transport: "unix", path }));
    await monitor.#next();
    await monitor.order("qmp_capabilities");
    return monitor;
  }

  async order(execute: string, args?: unknown): Promise<unknown> {
    const text = JSON.stringify({ execute, ...args === undefined ? {} : { arguments: args } });
    await this.#connection.write(new TextEncoder().encode(text));
    for (;;) {
      const message = await this.#next();
      if (message.error) throw new Error(`${execute}: ${message.error.desc}`);
      if ("return" in message) return message.return;
      this.#events.push(message);
    }
  }

  async event(name: string): Promise<Record<string, unknown>> {
    for (;;) {
      const at = this.#events.findIndex(({ event }) => event === name);
      if (at >= 0) return this.#events[at]!.data ?? {};
      this.#events.push(await this.#next());
    }
  }

  async #next(): Promise<Message> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("QEMU closed its monitor");
    return JSON.parse(value);
  }

  close(): void {
    this.#connection.close();
  }
}

async function* linesOf(connection: Deno.UnixConn): AsyncGenerator<string> {
  let rest = "";
  for await (const text of connection.readable.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts.filter((line) => line.trim() !== "");
  }
}
