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

  /** The next `size` bytes, 64 KiB at most, if they are here; they stay until the next call. */
  takeNow(size: number): Uint8Array | undefined {
    if (this.#end - this.#start < size) return undefined;
    return this.#buffer.subarray(this.#start, this.#start += size);
  }

  /** The same when they came. Throws Ended. */
  async take(size: number): Promise<Uint8Array> {
    if (this.#end - this.#start < size) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      // A request is one read and one promise: no function in between.
      while (this.#end < size) {
        this.#end += came(await this.#stream.read(this.#buffer.subarray(this.#end)));
      }
    }
    return this.takeNow(size)!;
  }

  /** Fills `into`. Throws Ended. */
  async fill(into: Uint8Array): Promise<void> {
    const here = Math.min(into.length, this.#end - this.#start);
    into.set(this.#buffer.subarray(this.#start, this.#start + here));
    this.#start += here;
    for (let done = here; done < into.length;) {
      done += came(await this.#stream.read(into.subarray(done)));
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
}

function came(count: number | null): number {
  if (!count) throw new Ended("the client went away");
  return count;
}

/** Writes all of `data`. Throws what the connection throws. */
export async function writeAll(stream: Stream, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length;) done += await stream.write(data.subarray(done));
}

/** Ends a connection, which may have ended. */
export function close(stream: Stream): void {
  try {
    stream.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
