/** Bytes and text. Nothing about storage. */

/** Two lower-case hexadecimal digits for every byte value. */
export const HEX: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/**
 * Text of a name, losslessly. Names on disk are bytes: what is not UTF-8 becomes lone surrogates
 * U+DC80…U+DCFF (as in Python's PEP 383), and `encodeName` turns them back. Text that is UTF-8,
 * that is nearly all, reads as it should.
 */
export function decodeName(bytes: Uint8Array): string {
  const ascii = decodeAscii(bytes);
  if (ascii !== undefined) return ascii;
  return isUtf8(bytes) ? utf8.decode(bytes) : decodeEscaped(bytes);
}

// Looking first costs less than the decoder's exception, which a peer could have us make at will.
function isUtf8(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length;) {
    const size = sequenceSize(bytes, at);
    if (size === 0) return false;
    at += size;
  }
  return true;
}

function decodeAscii(bytes: Uint8Array): string | undefined {
  const size = bytes.length;
  if (size > 256) return undefined;
  for (let i = 0; i < size; i++) if (bytes[i]! >= 0x80) return undefined;
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  let at = 0;
  while (at < bytes.length) {
    const size = sequenceSize(bytes, at);
    if (size <= 1) {
      text += String.fromCharCode(size === 1 ? bytes[at]! : 0xdc00 | bytes[at]!);
      at++;
      continue;
    }
    let code = bytes[at]! & (0xff >> (size + 1));
    for (let i = 1; i < size; i++) code = code << 6 | bytes[at + i]! & 0x3f;
    text += String.fromCodePoint(code);
    at += size;
  }
  return text;
}

// Size of the well-formed UTF-8 sequence at `at`, 0 if there is none (Unicode table 3-7).
function sequenceSize(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + size > bytes.length) return 0;
  // Neither overlong forms, nor surrogates, nor what is past U+10FFFF.
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  const second = bytes[at + 1]!;
  if (second < least || second > most) return 0;
  for (let i = 2; i < size; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
  return size;
}

/** The bytes of a name made by `decodeName`, or of any text. */
export function encodeName(text: string): Uint8Array<ArrayBuffer> {
  const size = text.length;
  if (size <= 256) {
    const bytes = new Uint8Array(size);
    let i = 0;
    for (; i < size; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) break;
      bytes[i] = code;
    }
    if (i === size) return bytes;
  }
  return text.isWellFormed() ? utf8Encoder.encode(text) : encodeEscaped(text);
}

function encodeEscaped(text: string): Uint8Array<ArrayBuffer> {
  const parts: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (code >= 0xdc80 && code <= 0xdcff) parts.push(code & 0xff);
    else parts.push(...utf8Encoder.encode(char));
  }
  return Uint8Array.from(parts);
}

/** `bytes` as lower-case hexadecimal text. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]!];
  return text;
}

/** The bytes that hexadecimal `text` spells. Throws SyntaxError on anything else. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length >> 1);
  let valid = text.length % 2 === 0;
  for (let i = 0; valid && i < bytes.length; i++) {
    const value = digit(text.charCodeAt(2 * i)) << 4 | digit(text.charCodeAt(2 * i + 1));
    bytes[i] = value;
    valid = value >= 0;
  }
  if (valid) return bytes;
  throw new SyntaxError(`Cannot read hexadecimal "${text.slice(0, 40)}": not pairs of digits`);
}

// The value of a hexadecimal digit; -1 for anything else.
function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** True if both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  const { buffer, byteOffset, length } = bytes;
  const before = Math.min(length, -byteOffset & 3), words = (length - before) >> 2;
  for (let at = 0; at < before; at++) if (bytes[at]) return false;
  for (let at = before + 4 * words; at < length; at++) if (bytes[at]) return false;
  if (words === 0) return true;
  const numbers = new Uint32Array(buffer, byteOffset + before, words);
  for (let at = 0; at < words; at++) if (numbers[at]) return false;
  return true;
}

/** The runs of `bytes` that hold data, in steps of `grain`: what lies between them is zeros. */
export function* dataRuns(
  bytes: Uint8Array,
  grain: number,
): Generator<{ readonly start: number; readonly end: number }> {
  let start = -1;
  for (let at = 0; at < bytes.length; at += grain) {
    const zero = isZero(bytes.subarray(at, at + grain));
    if (zero && start >= 0) yield { start, end: at };
    if (zero) start = -1;
    else if (start < 0) start = at;
  }
  if (start >= 0) yield { start, end: bytes.length };
}
