import { expect, test } from "vitest";
import { AIRBORNE_MAX, FLIGHT_MS, Pace, sample, WAITING_MAX } from "./pace";

const count = (all: string[], emoji: string) => all.filter((one) => one === emoji).length;
const fair = () => 0.5;

test("few taps all rise", () => {
  const taken = sample(new Map([["🔥", 3], ["👏", 2]]), 10);
  expect(taken.sort()).toEqual(["🔥", "🔥", "🔥", "👏", "👏"].sort());
});

test("of many taps a sample rises, in proportion of emoji to within one", () => {
  for (let turn = 0; turn < 200; turn++) {
    const taken = sample(new Map([["🔥", 700], ["👏", 250], ["🦄", 50]]), 20);
    expect(Math.abs(taken.length - 20)).toBeLessThanOrEqual(1);
    expect(Math.abs(count(taken, "🔥") - 14)).toBeLessThanOrEqual(1);
    expect(Math.abs(count(taken, "👏") - 5)).toBeLessThanOrEqual(1);
    expect(Math.abs(count(taken, "🦄") - 1)).toBeLessThanOrEqual(1);
  }
});

test("a rare emoji rises as often as it should, over time", () => {
  let rare = 0;
  for (let turn = 0; turn < 4_000; turn++) rare += count(sample(new Map([["🔥", 99], ["🦄", 1]]), 10), "🦄");
  expect(rare).toBeGreaterThan(300);
  expect(rare).toBeLessThan(500);
});

/** Plays updates, each `every` ms, and tells when each emoji rose. */
function play(updates: number, every: number, taps: number): number[] {
  const pace = new Pace(fair);
  const risen: number[] = [];
  let now = 0;
  for (let update = 0; update < updates; update++) {
    pace.add(new Map([["🔥", taps]]), update * every);
    now = Math.max(now, update * every);
    for (;;) {
      const delay = pace.delay(now);
      if (delay === null || now + Math.max(1, delay) >= (update + 1) * every) break;
      now += Math.max(1, delay);
      pace.take();
      risen.push(now);
    }
  }
  return risen;
}

test("taps spread over the whole time between updates", () => {
  const risen = play(20, 400, 5).filter((at) => at > 4_000);
  const gaps = risen.slice(1).map((at, index) => at - (risen[index] as number));
  expect(Math.max(...gaps)).toBeLessThan(200);
  expect(Math.min(...gaps)).toBeGreaterThan(30);
  expect(risen.length).toBeGreaterThan(40);
});

test("once the interval is known, no more rise than may be in the air", () => {
  const risen = play(60, 250, 5_000).filter((at) => at > 4_000);
  for (const from of risen) {
    expect(risen.filter((at) => at >= from && at < from + FLIGHT_MS).length).toBeLessThanOrEqual(AIRBORNE_MAX * 1.1);
  }
  expect(risen.length).toBeGreaterThan(100);
});

test("what waits is bounded", () => {
  const pace = new Pace();
  for (let update = 0; update < 100; update++) pace.add(new Map([["🔥", 400]]), update * 1_000);
  expect(pace.size).toBeLessThanOrEqual(WAITING_MAX);
  pace.clear();
  expect(pace.delay(0)).toBeNull();
});
