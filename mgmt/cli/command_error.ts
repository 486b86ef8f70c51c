/** Failures that people read. */

/** Something an operator asked for cannot be done: "Cannot ⟨verb⟩ ⟨thing⟩: ⟨why⟩", then what to do. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  /** Exit code of the process. */
  readonly exitCode: number = 1;
}

/** The command line is wrong. */
export class UsageError extends CommandError {
  override readonly name = "UsageError";
  override readonly exitCode = 2;
}
