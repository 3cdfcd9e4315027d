import { expect, test } from "vitest";
import { moved } from "./grid";

// Three columns, seven cells.
const tops = [0, 0, 0, 40, 40, 40, 80];

test.each([
  ["ArrowRight", 0, 1],
  ["ArrowRight", 6, 6],
  ["ArrowLeft", 0, 0],
  ["ArrowDown", 1, 4],
  ["ArrowDown", 4, 4],
  ["ArrowDown", 3, 6],
  ["ArrowUp", 4, 1],
  ["ArrowUp", 2, 2],
  ["PageDown", 0, 6],
  ["PageUp", 6, 0],
  ["Home", 5, 0],
  ["End", 2, 6],
  ["a", 2, null],
])("%s from %i leads to %s", (key, from, to) => {
  expect(moved(key, from, tops)).toBe(to);
});

test("a grid of one row has as many columns as cells", () => {
  expect(moved("ArrowDown", 1, [0, 0, 0])).toBe(1);
});
