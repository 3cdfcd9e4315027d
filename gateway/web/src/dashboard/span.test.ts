import { expect, test } from "vitest";
import { floorTo, POINTS_MAX, startsOf, stepFor } from "./span";

const HOUR = 3_600_000;

test.each([
  [300_000, 10_000, 10_000],
  [HOUR, 10_000, 10_000],
  [6 * HOUR, 10_000, 60_000],
  [24 * HOUR, 10_000, 180_000],
  [168 * HOUR, 10_000, 1_200_000],
  [HOUR, 60_000, 60_000],
])("%d ms of windows of %d ms are drawn in steps of %d ms", (span, window, step) => expect(stepFor(span, window)).toBe(step));

test("steps are whole windows, and no more than a chart has points", () => {
  for (const window of [250, 1_000, 2_000, 7_000, 10_000, 45_000, 60_000, 3_600_000]) {
    for (let span = 60_000; span < 31 * 24 * HOUR; span *= 1.7) {
      const step = stepFor(span, window);
      expect(step % window).toBe(0);
      expect(span / step).toBeLessThanOrEqual(POINTS_MAX);
    }
  }
});

test("starts cover the range and are counted from 1970", () => {
  expect(startsOf(12_500, 40_000, 10_000)).toEqual([10_000, 20_000, 30_000]);
  expect(floorTo(19_999, 10_000)).toBe(10_000);
});
