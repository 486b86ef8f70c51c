/** The end of a log, for people who ask why a process ended. */

const TAIL = 8192;

/** Makes sure that a log can be written, and answers its size in bytes. Throws what Deno throws. */
export async function openLog(path: string): Promise<number> {
  using file = await Deno.open(path, { append: true, create: true });
  return (await file.stat()).size;
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
