import { expect, test } from "vitest";
import { GROUPS, inTone, search, TONES } from "./emoji";

const all = GROUPS.flatMap(({ emoji }) => emoji);
const named = (name: string) => {
  const found = all.find((one) => one.name === name);
  if (!found) throw new Error(name);
  return found;
};
const dark = TONES[5].tone;

test("the list has Unicode's groups, and each emoji once", () => {
  expect(GROUPS.map(({ name }) => name)).toContain("Smileys & Emotion");
  expect(GROUPS).toHaveLength(9);
  expect(new Set(all.map(({ emoji }) => emoji)).size).toBe(all.length);
  expect(all.length).toBeGreaterThan(1_800);
});

test.each([
  ["thumbs up", "👍🏿"],
  ["index pointing up", "☝🏿"],
  ["woman detective", "🕵🏿‍♀️"],
  ["people holding hands", "🧑🏿‍🤝‍🧑🏿"],
  ["handshake", "🤝🏿"],
  ["couple with heart woman, man", "👩🏿‍❤️‍👨🏿"],
  ["fire", "🔥"],
])("%s takes a skin tone where it has one", (name, toned) => {
  expect(inTone(named(name), dark)).toBe(toned);
  expect(inTone(named(name), "")).toBe(named(name).emoji);
});

test("an emoji is found by name, by other words, and by itself", () => {
  expect(search(all, "unicorn")[0]?.emoji).toBe("🦄");
  expect(search(all, "party  tada").map(({ emoji }) => emoji)).toContain("🎉");
  expect(search(all, "🔥")[0]?.emoji).toBe("🔥");
  expect(search(all, "no such thing")).toEqual([]);
});

test("what begins with the word comes first", () => {
  expect(search(all, "cat")[0]?.name).toMatch(/^cat/);
});
