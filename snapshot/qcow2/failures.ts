/** What an image, or a caller, can do wrong. */

/**
 * Why an image cannot be used as asked:
 * - `not-qcow2`: the file is something else;
 * - `corrupt`: the image contradicts itself or the format;
 * - `unsupported`: a feature that is not offered here (encryption, an unknown bit);
 * - `refused`: a name or a request that may not be followed (a file elsewhere, a chain that is a loop);
 * - `usage`: the caller asked for what cannot be (a snapshot that is not there, a write past the end).
 */
export type Qcow2Reason = "not-qcow2" | "corrupt" | "unsupported" | "refused" | "usage";

/** A failure of the qcow2 library; the message is one line for people. */
export class Qcow2Error extends Error {
  override readonly name = "Qcow2Error";

  constructor(readonly reason: Qcow2Reason, message: string) {
    super(message);
  }
}

/** The image contradicts itself or the format. */
export function corrupt(message: string): Qcow2Error {
  return new Qcow2Error("corrupt", message);
}

/** A feature that is not offered. */
export function unsupported(message: string): Qcow2Error {
  return new Qcow2Error("unsupported", message);
}

/** A name or request that is not followed. */
export function refused(message: string): Qcow2Error {
  return new Qcow2Error("refused", message);
}

/** The caller's mistake. */
export function usage(message: string): Qcow2Error {
  return new Qcow2Error("usage", message);
}
