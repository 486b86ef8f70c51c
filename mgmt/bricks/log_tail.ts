/** The end of a log, for people who ask why a process ended. */

const TAIL = 8192;

/** Bytes of a file; 0 if there is none. */
export async function sizeOf(path: string): Promise<number> {
  return await Deno.stat(path).then(({ size }) => size, () => 0);
}

/** The last line that was written after the first `from` bytes, without its time; undefined if there is none. */
export async function lastLine(path: string, from = 0): Promise<string | undefined> {
  const bytes = new Uint8Array(TAIL);
  try {
    using file = await Deno.open(path);
    const { size } = await file.stat();
    await file.seek(Math.max(size - TAIL, from > size ? 0 : from), Deno.SeekMode.Start);
    let length = 0;
    for (let got; (got = await file.read(bytes.subarray(length))) !== null && got > 0;) {
      length += got;
    }
    const lines = new TextDecoder().decode(bytes.subarray(0, length)).split("\n");
    const last = lines.findLast((line) => line.trim() !== "");
    return last?.trim().replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z] /, "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
