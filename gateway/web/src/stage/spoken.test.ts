import { expect, it } from "vitest";
import { spoken } from "./spoken";

it("says what is on the stage", () => {
  expect(spoken({ total: 0, rate: 0, leaders: [], banner: null })).toBe("");
  expect(spoken({ total: 1, rate: 0.33, leaders: [], banner: null })).toBe("1 reaction. Quiet at the moment.");
  expect(spoken({ total: 12345, rate: 199.6, leaders: [{ emoji: "🔥", share: 0.5 }], banner: null })).toBe(
    "12,345 reactions. 200 a second. 🔥 leads.",
  );
  const banner = { id: "a", emoji: "⚽", text: "12× the usual", detail: "", burst: ["⚽"] };
  expect(spoken({ total: 2, rate: 1, leaders: [], banner })).toBe("⚽ 12× the usual. 2 reactions. 1 a second.");
});
