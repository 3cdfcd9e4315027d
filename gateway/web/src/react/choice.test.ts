import { expect, test } from "vitest";
import { buttonsOf, columnsOf, listed, takes } from "./choice";

test("a list is what stands between commas, each once", () => {
  expect(listed("🔥, 👏,🔥,,x,1")).toEqual(["🔥", "👏"]);
  expect(listed(null)).toEqual([]);
  expect(listed("🔥".repeat(50))).toEqual([]);
});

test("buttons are as the address says, as far as the room takes them", () => {
  expect(buttonsOf(["🚀", "👏"], null)).toEqual(["🚀", "👏"]);
  expect(buttonsOf(["🚀", "👏"], ["👏", "🔥"])).toEqual(["👏"]);
});

test("else they are the room's own, else the usual eight", () => {
  expect(buttonsOf([], ["🚀", "🦄"])).toEqual(["🚀", "🦄"]);
  expect(buttonsOf(["🔥"], ["🚀", "🦄"])).toEqual(["🚀", "🦄"]);
  expect(buttonsOf([], null)).toHaveLength(8);
  const long = ["🚀", "🦄", "🐈", "🐕", "🌍", "🍕", "🎸", "⚽", "🏆", "🔥"];
  expect(buttonsOf([], long)).toEqual(["🔥", "🚀", "🦄", "🐈", "🐕", "🌍", "🍕", "🎸"]);
});

test("a room takes an emoji in any form, and in its tones", () => {
  expect(takes(["❤"], "❤️")).toBe(true);
  expect(takes(["👍"], "👍🏽")).toBe(true);
  expect(takes(["👍🏽"], "👍")).toBe(false);
  expect(takes(["👍🏽"], "👍🏽")).toBe(true);
  expect(takes(null, "👍")).toBe(true);
});

test("rows are full, or nearly", () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9].map(columnsOf)).toEqual([1, 2, 3, 4, 3, 3, 4, 4, 3]);
});
