import { describe, expect, it } from "vitest";
import { Pace } from "./pace";
import { Roster } from "./roster";

const FRAME_MS = 1000 / 60;

/** Feeds `taps` every `between` ms for a while; the answer is how many particles rose in each frame. */
function risen(taps: number, between: number, seconds: number, weight = 1): number[] {
  const roster = new Roster();
  const pace = new Pace(roster);
  const frames: number[] = [];
  let next = 0;
  for (let now = 0; now < seconds * 1000; now += FRAME_MS) {
    for (; now >= next; next += between) {
      roster.add("🔥", taps);
      pace.portion(next);
    }
    let count = 0;
    pace.step(FRAME_MS, weight, () => count++);
    frames.push(count);
  }
  return frames;
}

const sum = (numbers: number[]): number => numbers.reduce((one, other) => one + other, 0);

describe("the pace", () => {
  it("lets each tap rise, and the first at once", () => {
    const roster = new Roster();
    const pace = new Pace(roster);
    for (let round = 0; round < 50; round++) {
      roster.add("👏", 3);
      pace.portion(round * 5_000);
      let [first, all] = [0, 0];
      pace.step(FRAME_MS, 1, () => first++);
      expect(first).toBe(1);
      for (let frame = 0; frame < 120; frame++) pace.step(FRAME_MS, 1, () => all++);
      expect(first + all).toBe(3);
      expect(pace.waiting()).toBe(0);
    }
  });

  it.each([50, 100, 250])("has no waves where portions come every %i ms", (between) => {
    const perFrame = 4;
    const frames = risen((perFrame * between) / FRAME_MS, between, 10).slice(300);
    expect(Math.abs(sum(frames) / frames.length - perFrame)).toBeLessThan(0.2);
    expect(Math.min(...frames)).toBeGreaterThanOrEqual(perFrame - 2);
    expect(Math.max(...frames)).toBeLessThanOrEqual(perFrame + 2);
  });

  it("lets a particle stand for many taps", () => {
    expect(sum(risen(2_000, 100, 10, 200))).toBeGreaterThan(900);
    expect(sum(risen(2_000, 100, 10, 200))).toBeLessThanOrEqual(1_001);
  });

  it("forgets what waits when it is told to", () => {
    const roster = new Roster();
    const pace = new Pace(roster);
    roster.add("🔥", 100);
    pace.portion(0);
    pace.drop();
    let count = 0;
    for (let frame = 0; frame < 100; frame++) pace.step(FRAME_MS, 1, () => count++);
    expect(count).toBe(0);
  });
});
