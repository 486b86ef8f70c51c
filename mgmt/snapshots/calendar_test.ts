import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { Calendar } from "mgmt/snapshots/calendar.ts";

/** The times after `from` at which it is due, as UTC. */
function due(expression: string, zone: string, from: string, count: number): string[] {
  const calendar = new Calendar(expression, zone), times: string[] = [];
  for (let ms = Date.parse(`${from}:00Z`); times.length < count;) {
    ms = calendar.next(ms)!;
    times.push(new Date(ms).toISOString().slice(5, 16));
  }
  return times;
}

Deno.test("mgmt/snapshots/calendar: fields are numbers, words, lists, ranges and steps, as in cron", () => {
  const cases: [string, string[]][] = [
    ["30 2 * * *", ["11-23T02:30", "11-24T02:30"]],
    ["*/25 9-10 * * *", ["11-23T09:00", "11-23T09:25", "11-23T09:50", "11-23T10:00"]],
    ["0 12 * * mon-wed,FRI", ["11-23T12:00", "11-24T12:00", "11-25T12:00", "11-27T12:00"]],
    ["0 0 31 * *", ["12-31T00:00", "01-31T00:00", "03-31T00:00"]],
    ["0 0 29 feb *", ["02-29T00:00"]],
    ["5/20 7 1 */6 *", ["01-01T07:05", "01-01T07:25", "01-01T07:45", "07-01T07:05"]],
    // Of the month or of the week, if both are given.
    ["0 0 13 * 5", ["11-27T00:00", "12-04T00:00", "12-11T00:00", "12-13T00:00"]],
    ["0 0 * * 7", ["11-29T00:00"]],
    ["@hourly", ["11-23T01:00", "11-23T02:00"]],
    ["@monthly", ["12-01T00:00", "01-01T00:00"]],
  ];
  for (const [expression, times] of cases) {
    deepEqual(due(expression, "UTC", "2026-11-23T00:00", times.length), times, expression);
  }
});

Deno.test("mgmt/snapshots/calendar: what summer time leaves out is due once when the gap ends", () => {
  const days = ["03-28T01:30", "03-29T01:00", "03-30T00:30"];
  deepEqual(due("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", 3), days);
  deepEqual(due("0,30 2 * * *", "Europe/Berlin", "2026-03-28T23:00", 2), [
    "03-29T01:00",
    "03-30T00:00",
  ]);
  // What is due at any hour needs no replacement.
  deepEqual(due("30 * * * *", "Europe/Berlin", "2026-03-28T23:00", 4), [
    ...["03-28T23:30", "03-29T00:30", "03-29T01:30", "03-29T02:30"],
  ]);
  deepEqual(due("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", 1), ["10-03T15:30"]);
});

Deno.test("mgmt/snapshots/calendar: what comes twice in autumn is due once, unless it is due at any hour", () => {
  const days = ["10-24T00:30", "10-25T00:30", "10-26T01:30"];
  deepEqual(due("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00", 3), days);
  deepEqual(due("0 * * * *", "Europe/Berlin", "2026-10-24T23:30", 4), [
    ...["10-25T00:00", "10-25T01:00", "10-25T02:00", "10-25T03:00"],
  ]);
});

Deno.test("mgmt/snapshots/calendar: what is no expression or zone is told", () => {
  const wrong = [
    ...["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *"],
    ...["* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *", "-1 * * * *"],
    ...["0 0 30 2 *", "@reboot", "1e1 * * * *", "0x1 * * * *", `${"1,".repeat(9)} * * * *`],
  ];
  for (const expression of wrong) throws(() => new Calendar(expression, "UTC"), RangeError);
  throws(() => new Calendar("@daily", "Europe/Nowhere"), /no time zone "Europe\/Nowhere"/);
  equal(new Calendar(" 0  0 * * * ", "UTC").next(0), 86_400_000);
});
