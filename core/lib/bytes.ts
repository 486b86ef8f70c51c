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
  try {
    return utf8.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
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
    if (size === 0) {
      text += String.fromCharCode(0xdc00 | bytes[at]!);
      at++;
    } else {
      text += utf8.decode(bytes.subarray(at, at + size));
      at += size;
    }
  }
  return text;
}

// Size of the well-formed UTF-8 sequence at `at`, 0 if there is none.
function sequenceSize(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  const size = lead < 0x80
    ? 1
    : lead < 0xc2
    ? 0
    : lead < 0xe0
    ? 2
    : lead < 0xf0
    ? 3
    : lead < 0xf5
    ? 4
    : 0;
  if (size < 2) return size;
  try {
    utf8.decode(bytes.subarray(at, at + size));
    return at + size <= bytes.length ? size : 0;
  } catch {
    return 0;
  }
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
  if (text.length % 2 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new SyntaxError(`Cannot read hexadecimal "${text.slice(0, 40)}": not pairs of digits`);
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** True if both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
