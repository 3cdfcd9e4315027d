import { expect, test } from "vitest";
import { begin, pass, seek, toggle } from "./replay";

const HOUR = 3_600_000;

test("a replay passes as fast as its speed says, and stops at its end", () => {
  let replay = { ...begin(0, 60_000), speed: 10 };
  replay = pass(replay, 1_000);
  expect(replay).toMatchObject({ at: 10_000, playing: true });
  expect(pass(replay, 9_000)).toMatchObject({ at: 60_000, playing: false });
});

test("a paused replay stands still, and a replay that is over begins anew", () => {
  const paused = toggle(begin(0, 60_000));
  expect(pass(paused, 5_000).at).toBe(0);
  expect(toggle(seek(paused, 60_000))).toMatchObject({ at: 0, playing: true });
  expect(toggle(seek(paused, 30_000))).toMatchObject({ at: 30_000, playing: true });
});

test("nobody seeks out of it", () => {
  const replay = begin(1_000, 61_000);
  expect(seek(replay, 5).at).toBe(1_000);
  expect(seek(replay, 1e9).at).toBe(61_000);
});

test.each([
  [60_000, 1],
  [900_000, 10],
  [HOUR, 60],
  [168 * HOUR, 60],
])("%d ms are played at %d×", (length, speed) => expect(begin(0, length).speed).toBe(speed));
