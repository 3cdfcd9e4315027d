import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HOLD_MS, Press, tapsAt } from "./hold";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function pressed() {
  const taps: number[] = [];
  return { taps, press: new Press({ tap: (count) => taps.push(count) }) };
}

test("a short press is one tap, when it has ended where it began", () => {
  const { taps, press } = pressed();
  press.down();
  vi.advanceTimersByTime(HOLD_MS - 1);
  press.up();
  expect(taps).toEqual([]);
  press.click();
  expect(taps).toEqual([1]);
});

test("a hold repeats, faster and faster, and its end is no tap", () => {
  const { taps, press } = pressed();
  press.down();
  vi.advanceTimersByTime(HOLD_MS + 1_000);
  expect(taps.length).toBeGreaterThanOrEqual(8);
  expect(taps.length).toBeLessThanOrEqual(11);
  expect(new Set(taps)).toEqual(new Set([1]));
  vi.advanceTimersByTime(5_000);
  expect(taps.at(-1)).toBe(3);
  const held = taps.length;
  press.up();
  press.click();
  vi.advanceTimersByTime(5_000);
  expect(taps).toHaveLength(held);
  // The next press is a new one.
  press.down();
  press.up();
  press.click();
  expect(taps).toHaveLength(held + 1);
});

test("a click by itself, as screen readers make it, is a tap", () => {
  const { taps, press } = pressed();
  press.click();
  expect(taps).toEqual([1]);
});

test("steps grow", () => {
  expect([0, 1_499, 1_500, 3_999, 4_000].map(tapsAt)).toEqual([1, 1, 2, 2, 3]);
});
