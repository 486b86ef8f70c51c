/** The words after `volume heal VOLUME`. */

/** What is asked. */
export interface HealQuestion {
  readonly what:
    | "index"
    | "full"
    | "enable"
    | "disable"
    | "granular-enable"
    | "granular-disable"
    | "info"
    | "info-split-brain"
    | "summary"
    | "statistics"
    | "heal-count"
    | "heal-count-of-set"
    | "decide";
  /** "HOST:/PATH" of a brick whose set is counted. */
  readonly replica?: string;
  /** Which copy is right; undefined: that of `brick`. */
  readonly right?: "size" | "mtime";
  /** "HOST:/PATH". */
  readonly brick?: string;
  /** Absent: all files in split-brain. */
  readonly file?: string;
}

const PLAIN: Readonly<Record<string, HealQuestion>> = {
  "": { what: "index" },
  full: { what: "full" },
  enable: { what: "enable" },
  disable: { what: "disable" },
  info: { what: "info" },
  "info split-brain": { what: "info-split-brain" },
  "info summary": { what: "summary" },
  statistics: { what: "statistics" },
  "statistics heal-count": { what: "heal-count" },
  "granular-entry-heal enable": { what: "granular-enable" },
  "granular-entry-heal disable": { what: "granular-disable" },
};

/** The question; undefined if the words are none. */
export function readHealWords(words: readonly string[]): HealQuestion | undefined {
  const text = words.join(" ");
  if (Object.hasOwn(PLAIN, text)) return PLAIN[text];
  const [first, second, third, fourth] = words;
  if (first === "statistics" && second === "heal-count" && third === "replica") {
    return words.length === 4 ? { what: "heal-count-of-set", replica: fourth! } : undefined;
  }
  if (first !== "split-brain" || third === undefined || words.length > 4) return undefined;
  if (second === "source-brick") {
    return { what: "decide", brick: third, ...(fourth === undefined ? {} : { file: fourth }) };
  }
  if (fourth !== undefined) return undefined;
  if (second === "bigger-file") return { what: "decide", right: "size", file: third };
  return second === "latest-mtime" ? { what: "decide", right: "mtime", file: third } : undefined;
}
