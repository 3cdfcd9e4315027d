import { describe, expect, it } from "vitest";
import { PARTICLES_MAX } from "./density";
import { Pool, type Flight } from "./pool";

const flight = (over: Partial<Flight> = {}): Flight => ({
  place: 3,
  x: 100,
  y: 500,
  vx: 0,
  vy: -100,
  pull: 0,
  sway: 0,
  turn: 1,
  size: 50,
  life: 4,
  ...over,
});

interface Drawn {
  place: number;
  x: number;
  y: number;
  size: number;
  alpha: number;
}

function step(pool: Pool, seconds: number): Drawn[] {
  const drawn: Drawn[] = [];
  pool.step(seconds, (place, x, y, size, alpha) => drawn.push({ place, x, y, size, alpha }));
  return drawn;
}

describe("the pool", () => {
  it("flies a particle up, lets it fade, and lands it", () => {
    const flying = new Uint16Array(64);
    const pool = new Pool(flying);
    expect(pool.launch(flight(), 0)).toBe(true);
    expect(flying[3]).toBe(1);
    expect(step(pool, 1)).toEqual([{ place: 3, x: 100, y: 400, size: 50, alpha: 1 }]);
    const [late] = step(pool, 2.5);
    expect(late?.y).toBeCloseTo(150);
    expect(late?.alpha).toBeCloseTo(0.5 / 1.2);
    expect(step(pool, 0.6)).toEqual([]);
    expect([pool.count, flying[3]]).toEqual([0, 0]);
  });

  it("grows what has just begun", () => {
    const pool = new Pool(new Uint16Array(64));
    pool.launch(flight(), 0);
    expect(step(pool, 0.01)[0]?.size).toBeLessThan(30);
  });

  it("has so many places and no more, whatever is launched and lands", () => {
    const flying = new Uint16Array(64);
    const pool = new Pool(flying);
    let seed = 1;
    const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
    for (let frame = 0; frame < 2_000; frame++) {
      for (let more = random() * 20; more > 0; more--) {
        const full = pool.count === PARTICLES_MAX;
        const took = pool.launch(flight({ place: Math.floor(random() * 64), life: 0.1 + random() * 3 }), 0);
        expect(took).toBe(!full);
      }
      const drawn = step(pool, random() * 0.1);
      expect(drawn.length).toBe(pool.count);
      expect(flying.reduce((one, other) => one + other, 0)).toBe(pool.count);
      expect(pool.count).toBeLessThanOrEqual(PARTICLES_MAX);
    }
    pool.clear();
    expect([pool.count, Math.max(...flying)]).toEqual([0, 0]);
    for (let at = 0; at < PARTICLES_MAX; at++) expect(pool.launch(flight(), 0)).toBe(true);
    expect(pool.launch(flight(), 0)).toBe(false);
  });

  it("keeps those that fly in their order when another lands", () => {
    const pool = new Pool(new Uint16Array(64));
    pool.launch(flight({ place: 0, life: 9 }), 0);
    pool.launch(flight({ place: 1, life: 1 }), 0);
    pool.launch(flight({ place: 2, life: 9 }), 0);
    expect(step(pool, 2).map(({ place }) => place)).toEqual([0, 2]);
  });
});
