import { describe, expect, it } from "vitest";
import { BURST_MAX, LIFE_MS, PARTICLES_MAX, Quality, rising, sizeOf, weightOf } from "./density";

const STEADY_MS = 1000 / 60;

function frames(quality: Quality, count: number, ms: number, work: number, flying: number): void {
  for (let frame = 0; frame < count; frame++) quality.frame(ms, work, flying);
}

describe("the density", () => {
  it("shows each tap of a small crowd", () => {
    for (const rate of [0.3, 1, 5, 20]) {
      expect(rising(rate, 1)).toBe(rate);
      expect(weightOf(rate, 1)).toBe(1);
    }
  });

  it("grows with the crowd, and has an end", () => {
    let before = 0;
    for (const rate of [1, 10, 100, 1_000, 10_000, 20_000]) {
      const now = rising(rate, 1);
      expect(now).toBeGreaterThan(before);
      before = now;
    }
    for (const rate of [20_000, 1e6, 1e9]) {
      const onScreen = (rising(rate, 1) * LIFE_MS) / 1000;
      expect(onScreen).toBeLessThanOrEqual(PARTICLES_MAX - BURST_MAX + 1e-6);
      expect(weightOf(rate, 1) * rising(rate, 1)).toBeCloseTo(rate, 3);
    }
  });

  it("is less where the device bears less", () => {
    expect(rising(20_000, 0.25)).toBeCloseTo(rising(20_000, 1) / 4, 6);
    expect(rising(3, 0.25)).toBe(3);
  });

  it("shows by size who has more", () => {
    expect(sizeOf(0.8, 1)).toBeGreaterThan(sizeOf(0.1, 1));
    expect(sizeOf(0.5, 100)).toBeGreaterThan(sizeOf(0.5, 1));
    expect(sizeOf(1, 1e6)).toBeLessThan(2.5);
  });
});

describe("the quality", () => {
  it("stays where frames are in time", () => {
    const quality = new Quality();
    frames(quality, 600, STEADY_MS, 3, 500);
    expect(quality.now).toBe(1);
  });

  it("goes down where frames are late, and comes back", () => {
    const quality = new Quality();
    frames(quality, 300, 40, 3, 500);
    const low = quality.now;
    expect(low).toBeLessThan(0.2);
    expect(low).toBeGreaterThan(0.1);
    // Soon, for an audience looks at it.
    const other = new Quality();
    frames(other, 25, 100, 3, 500);
    expect(other.now).toBeLessThan(0.3);
    frames(quality, 3_000, STEADY_MS, 3, 100);
    expect(quality.now).toBe(1);
  });

  it("goes down where the page works too long", () => {
    const quality = new Quality();
    frames(quality, 60, STEADY_MS, 12, 500);
    expect(quality.now).toBeLessThan(1);
  });

  it("takes a screen of 30 frames a second for what it is", () => {
    const quality = new Quality();
    frames(quality, 60, 1000 / 30, 1, 3);
    frames(quality, 600, 1000 / 30, 3, 500);
    expect(quality.now).toBe(1);
  });

  it("does not mind that the page was hidden", () => {
    const quality = new Quality();
    frames(quality, 300, 60_000, 1, 500);
    expect(quality.now).toBe(1);
  });
});
