import { expect, test } from "vitest";
import { chipsOf } from "./chips";

const all = () => true;

test("what most tapped comes first", () => {
  expect(chipsOf([], { "🦄": 1, "🚀": 5, "🐈": 3 }, all, 2)).toEqual(["🚀", "🐈"]);
});

test("nothing moves because counts change", () => {
  expect(chipsOf(["🦄", "🚀"], { "🚀": 50, "🦄": 1 }, all, 2)).toEqual(["🦄", "🚀"]);
  expect(chipsOf(["🦄", "🚀"], {}, all, 2)).toEqual(["🦄", "🚀"]);
});

test("a new one takes a free place, else that of the weakest if it has more", () => {
  expect(chipsOf(["🦄"], { "🚀": 1 }, all, 2)).toEqual(["🦄", "🚀"]);
  expect(chipsOf(["🦄", "🚀"], { "🦄": 1, "🚀": 9, "🐈": 2 }, all, 2)).toEqual(["🐈", "🚀"]);
  expect(chipsOf(["🦄", "🚀"], { "🦄": 2, "🚀": 9, "🐈": 2 }, all, 2)).toEqual(["🦄", "🚀"]);
});

test("what may not be shown is not", () => {
  expect(chipsOf(["🦄"], { "🚀": 1 }, (emoji) => emoji === "🚀", 2)).toEqual(["🚀"]);
});
