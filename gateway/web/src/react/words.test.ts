import { expect, test } from "vitest";
import type { WindowUpdate } from "../../ovation.js";
import { moodOf, people, sentence } from "./words";

const now = (more: Partial<WindowUpdate>) =>
  ({ window: { name: "10s", kind: "tumbling", start: 0, end: 10_000 }, total: 7, final: false, users: null, ...more }) as WindowUpdate;

test("who reacts", () => {
  expect(people(now({ users: null }), true)).toBeNull();
  expect(people(now({ users: 12_346 }), true)).toBe("You and 12,345 others");
  expect(people(now({ users: 2 }), true)).toBe("You and 1 other");
  expect(people(now({ users: 1 }), true)).toBe("You");
  expect(people(now({ users: 1 }), false)).toBe("1 person reacting");
  expect(people(now({ users: 12_345 }), false)).toBe("12,345 people reacting");
});

test("what happens, in a sentence", () => {
  expect(sentence(null, 0, false)).toBe("Nobody has reacted yet. Be the first.");
  expect(sentence(null, 0, false, false)).toBe("Nobody has reacted yet.");
  expect(sentence(null, 9, false)).toBe("Quiet at the moment.");
  expect(sentence(now({}), 9, false)).toBe("7 in these 10 s");
  expect(sentence(now({ users: 3 }), 9, true)).toBe("You and 2 others · 7 in these 10 s");
  expect(sentence(now({ final: true }), 9, false)).toBe("Quiet at the moment. Last: 7 in 10 s");
});

test("the mood has a name, where it is known", () => {
  expect(moodOf(null)).toBeNull();
  expect(moodOf(now({ sentiment: null }))).toBeNull();
  const scored = (score: number | null) => moodOf(now({ sentiment: { score, coverage: 1, n: 20 } }))?.name;
  expect([1, 0.3, 0, -0.3, -1, null].map(scored)).toEqual(["thrilled", "happy", "mixed", "uneasy", "upset", undefined]);
});
