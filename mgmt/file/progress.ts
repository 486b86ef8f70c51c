/** How far a transfer is: one line on a terminal that is written over, nothing elsewhere. */

import type { Clock } from "core/env.ts";

const SHOW_MS = 100;
const BAR_CHARS = 24;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size for people: 3 significant digits or so. */
export function sizeText(bytes: number): string {
  const unit = bytes < 1024 ? 0 : Math.min(5, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** unit;
  return `${unit && value < 100 ? value.toFixed(1) : Math.floor(value)} ${UNITS[unit]}`;
}

/** Seconds as minutes and seconds, with hours if there are any. */
export function timeText(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** The line after `seconds`; `total` 0: nobody knows how much there is. */
export function progressLine(label: string, done: number, total: number, seconds: number): string {
  const speed = seconds > 0 ? done / seconds : 0;
  const moved = `${sizeText(done)}  ${sizeText(speed)}/s`;
  if (!total) return `${label}  ${moved}`;
  const share = Math.min(1, done / total);
  const bar = "#".repeat(Math.floor(share * BAR_CHARS)).padEnd(BAR_CHARS, ".");
  const left = speed > 0 ? timeText((total - done) / speed) : "-:--";
  return `${label}  ${
    String(Math.floor(share * 100)).padStart(3)
  }% [${bar}]  ${moved}  ${left} left`;
}

/** See the head of this file. */
export class Progress {
  readonly #clock: Clock;
  readonly #began: number;
  readonly #write: ((text: string) => void) | undefined;
  #label = "";
  #done = 0;
  #total = 0;
  #shown = -Infinity;

  /** `write` shows text on the terminal; absent where there is none. */
  constructor(clock: Clock, write: ((text: string) => void) | undefined) {
    this.#clock = clock;
    this.#began = clock.monotonic();
    this.#write = write;
  }

  /** A file begins: its name, and how many bytes it adds to what there is to do. */
  file(label: string, bytes: number): void {
    this.#label = label;
    this.#total += bytes;
  }

  /** Bytes that were moved. */
  add(bytes: number): void {
    this.#done += bytes;
    const now = this.#clock.monotonic();
    if (!this.#write || now - this.#shown < SHOW_MS) return;
    this.#shown = now;
    const seconds = (now - this.#began) / 1000;
    this.#write(`\r\x1b[K${progressLine(this.#label, this.#done, this.#total, seconds)}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown > -Infinity) this.#write?.("\r\x1b[K");
  }
}
