/** Bytes from and to a client. */

/** A connection, encrypted or not. */
export interface Stream {
  /** Answers how many bytes came; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Answers how many were taken. */
  write(data: Uint8Array): Promise<number>;
  close(): void;
}

/** The client went away. */
export class Ended extends Error {
  override name = "Ended";
}

const BUFFER_BYTES = 65_536;
/** Replies smaller than this leave together. */
const SMALL_BYTES = 32_768, TOGETHER_BYTES = 262_144;

/** Bytes that come, in the pieces that are wanted. */
export class Incoming {
  readonly #stream: Stream;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #start = 0;
  #end = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Whether bytes came that nobody took yet. */
  get waiting(): boolean {
    return this.#end > this.#start;
  }

  /** The next `size` bytes, 64 KiB at most; they stay until the next call. Throws Ended. */
  async take(size: number): Promise<Uint8Array> {
    if (this.#end - this.#start < size) await this.#more(size);
    const taken = this.#buffer.subarray(this.#start, this.#start + size);
    this.#start += size;
    return taken;
  }

  /** Fills `into`. Throws Ended. */
  async fill(into: Uint8Array): Promise<void> {
    const here = Math.min(into.length, this.#end - this.#start);
    into.set(this.#buffer.subarray(this.#start, this.#start + here));
    this.#start += here;
    for (let done = here; done < into.length;) {
      done += await this.#read(into.subarray(done));
    }
  }

  /** Passes over the next `size` bytes. Throws Ended. */
  async skip(size: number): Promise<void> {
    for (let left = size; left > 0;) {
      const some = Math.min(left, BUFFER_BYTES);
      await this.take(some);
      left -= some;
    }
  }

  async #more(size: number): Promise<void> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    while (this.#end < size) this.#end += await this.#read(this.#buffer.subarray(this.#end));
  }

  async #read(into: Uint8Array): Promise<number> {
    const count = await this.#stream.read(into);
    if (!count) throw new Ended("the client went away");
    return count;
  }
}

/** Bytes that go, in order; small ones of one turn together. */
export class Outgoing {
  readonly #stream: Stream;
  #queue: Uint8Array[] = [];
  #running: Promise<void> | undefined;
  #failed: unknown;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Parts of one message, which are borrowed until this resolves. Throws what the connection throws. */
  send(...parts: Uint8Array[]): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed);
    this.#queue.push(...parts);
    return this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Replies of this turn join.
    await undefined;
    try {
      while (this.#queue.length) await this.#write(this.#next());
    } catch (error) {
      this.#failed = error;
      this.#queue = [];
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  #next(): Uint8Array {
    const queue = this.#queue;
    let count = 0, bytes = 0;
    while (
      count < queue.length && queue[count]!.length < SMALL_BYTES &&
      bytes + queue[count]!.length <= TOGETHER_BYTES
    ) bytes += queue[count++]!.length;
    if (count < 2) return queue.shift()!;
    const together = new Uint8Array(bytes);
    let at = 0;
    for (const part of queue.splice(0, count)) {
      together.set(part, at);
      at += part.length;
    }
    return together;
  }

  #write(data: Uint8Array): Promise<void> {
    return writeAll(this.#stream, data);
  }
}

/** Writes all of `data`. Throws what the connection throws. */
export async function writeAll(stream: Stream, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length;) done += await stream.write(data.subarray(done));
}
