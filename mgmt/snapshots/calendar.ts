/**
 * Calendar expressions: cron's five fields (minute, hour, day of the month, month, day of the week)
 * in a time zone, or a word such as @daily.
 *
 * As in cron, a day is right by its day of the month or of the week if both are restricted. What a
 * change to summer time leaves out is due when the gap ends; what comes twice in autumn is due once,
 * unless it is due at any hour: then it goes on through the change.
 *
 * No library: a daemon has to start where there is no network to get one from.
 */

const WORDS: ReadonlyMap<string, string> = new Map([
  ["@hourly", "0 * * * *"],
  ["@daily", "0 0 * * *"],
  ["@weekly", "0 0 * * 0"],
  ["@monthly", "0 0 1 * *"],
  ["@yearly", "0 0 1 1 *"],
]);

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** In place of numbers, from `min` on. */
  readonly words: readonly string[];
}

const MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const WEEKDAYS = "sun mon tue wed thu fri sat".split(" ");
const FIELDS: readonly Field[] = [
  { name: "minute", min: 0, max: 59, words: [] },
  { name: "hour", min: 0, max: 23, words: [] },
  { name: "day of the month", min: 1, max: 31, words: [] },
  { name: "month", min: 1, max: 12, words: MONTHS },
  { name: "day of the week", min: 0, max: 7, words: WEEKDAYS },
];

const MINUTE_MS = 60_000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS;
/** Summer time puts clocks forward by less. (Of a day that a move of the dateline takes nothing is due.) */
const GAP_MAX_MS = 3 * HOUR_MS;
/** A 29th of February that is a Monday comes every 28 years, or 40 around 2100. */
const DAYS_MAX = 41 * 366;

/** When something is due, again and again. */
export class Calendar {
  readonly #minutes: ReadonlySet<number>;
  readonly #hours: ReadonlySet<number>;
  readonly #days: ReadonlySet<number>;
  readonly #months: ReadonlySet<number>;
  readonly #weekdays: ReadonlySet<number>;
  readonly #zone: Zone;

  /**
   * `zone`: a name such as "Europe/Berlin". Throws RangeError saying what is wrong with the
   * expression or the zone.
   */
  constructor(expression: string, zone: string) {
    const fields = (WORDS.get(expression) ?? expression).trim().split(/\s+/);
    if (fields.length !== FIELDS.length) {
      throw new RangeError(
        "expected five fields (minute, hour, day, month, weekday) in quotes, such as " +
          `"30 2 * * *", or one of ${[...WORDS.keys()].join(", ")}`,
      );
    }
    const sets = fields.map((text, index) => valuesOf(text, FIELDS[index]!));
    this.#minutes = sets[0]!;
    this.#hours = sets[1]!;
    this.#days = sets[2]!;
    this.#months = sets[3]!;
    this.#weekdays = new Set([...sets[4]!].map((day) => day % 7));
    this.#zone = new Zone(zone);
    if (this.next(0) === undefined) throw new RangeError("no day is like that");
  }

  /** The first time after `ms` (since 1970) at which it is due; undefined: there is none. */
  next(ms: number): number | undefined {
    // Local times count as if they were UTC. What was in a gap a while ago may be due now.
    const now = this.#zone.local(ms), today = Math.floor(now / DAY_MS) * DAY_MS;
    for (let day = today - DAY_MS; day <= today + DAYS_MAX * DAY_MS; day += DAY_MS) {
      if (!this.#isDay(new Date(day))) continue;
      for (let hour = 0; hour < 24; hour++) {
        const start = day + hour * HOUR_MS;
        if (!this.#hours.has(hour) || start < now - GAP_MAX_MS) continue;
        const due = this.#timesOf(start).filter((time) => time > ms);
        if (due.length) return Math.min(...due);
      }
    }
    return undefined;
  }

  #isDay(day: Date): boolean {
    if (!this.#months.has(day.getUTCMonth() + 1)) return false;
    const byDate = this.#days.has(day.getUTCDate());
    const byWeekday = this.#weekdays.has(day.getUTCDay());
    const both = this.#days.size < 31 && this.#weekdays.size < 7;
    return both ? byDate || byWeekday : byDate && byWeekday;
  }

  #timesOf(hour: number): number[] {
    const always = this.#hours.size === 24;
    return [...this.#minutes].flatMap((minute) => {
      const moments = this.#zone.moments(hour + minute * MINUTE_MS, !always);
      return always ? moments : moments.slice(0, 1);
    });
  }
}

/** The numbers that a field such as "*", "5", "1-5", "mon-fri", "0,30" or "8-18/2" stands for. */
function valuesOf(text: string, field: Field): Set<number> {
  const { name, min, max } = field, values = new Set<number>();
  for (const part of text.toLowerCase().split(",")) {
    const match = /^(?:(\*)|([a-z]+|\d+)(?:-([a-z]+|\d+))?)(?:\/(\d+))?$/.exec(part);
    const [, star, from, to, by] = match ?? [];
    const first = star ? min : numberOf(from ?? "", field);
    const last = star || (by && !to) ? max : to === undefined ? first : numberOf(to, field);
    const step = by === undefined ? 1 : Number(by);
    if (!(first >= min && first <= last && last <= max && step > 0)) {
      throw new RangeError(`"${part}" is no ${name}; those are ${min} to ${max}`);
    }
    for (let value = first; value <= last; value += step) values.add(value);
  }
  return values;
}

function numberOf(word: string, { min, words }: Field): number {
  if (/^\d+$/.test(word)) return Number(word);
  const index = words.indexOf(word);
  return index < 0 ? NaN : index + min;
}

/** A time zone. Local times are milliseconds as `Date.UTC` makes them of what clocks there show. */
class Zone {
  readonly #format: Intl.DateTimeFormat;

  constructor(name: string) {
    try {
      this.#format = new Intl.DateTimeFormat("en", {
        ...{ timeZone: name, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric" },
        ...{ hour: "numeric", minute: "numeric", second: "numeric" },
      });
    } catch {
      throw new RangeError(
        `there is no time zone "${name}"; name one such as Europe/Berlin or UTC`,
      );
    }
  }

  local(ms: number): number {
    const parts = this.#format.formatToParts(ms);
    const [month, day, year, hour, minute, second] = parts
      .filter(({ type }) => type !== "literal").map(({ value }) => Number(value));
    return Date.UTC(year!, month! - 1, day, hour, minute, second);
  }

  #offset(ms: number): number {
    return this.local(ms) - Math.floor(ms / 1000) * 1000;
  }

  /**
   * When clocks show this, in order; where they never do: `orAfter` the moment that they pass it,
   * else nothing.
   */
  moments(local: number, orAfter: boolean): number[] {
    const before = this.#offset(local - DAY_MS), after = this.#offset(local + DAY_MS);
    const moments = [...new Set([local - before, local - after])]
      .filter((moment) => this.local(moment) === local).sort((a, b) => a - b);
    if (moments.length || !orAfter) return moments;
    // Clocks went forward between these two.
    let low = local - after, high = local - before;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.local(middle) < local) low = middle;
      else high = middle;
    }
    return [high];
  }
}

/** This machine's time zone. */
export function localZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}
