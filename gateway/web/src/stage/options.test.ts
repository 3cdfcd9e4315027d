import { describe, expect, it, vi } from "vitest";
import { DARK, KEY_GREEN, plain, readOptions } from "./options";

describe("the options of a stage", () => {
  it("are made for OBS where the address asks for nothing", () => {
    const warn = vi.fn();
    expect(readOptions("", warn)).toEqual({
      background: null,
      keyed: false,
      emoji: null,
      counters: true,
      moments: true,
      position: "full",
      scale: 1,
    });
    expect(warn).not.toHaveBeenCalled();
  });

  it("are read from the address", () => {
    const query = "?background=dark&emoji=🔥,❤️&counters=off&moments=OFF&position=left&scale=1.5";
    expect(readOptions(query)).toEqual({
      background: DARK,
      keyed: false,
      emoji: new Set(["🔥", "❤"]),
      counters: false,
      moments: false,
      position: "left",
      scale: 1.5,
    });
  });

  it.each([
    ["green", KEY_GREEN],
    ["transparent", null],
    ["%23ff8800", "#ff8800"],
    ["F80", "#f80"],
  ])("take the background %s", (given, colour) => {
    const options = readOptions(`?background=${given}`);
    expect(options.background).toBe(colour);
    expect(options.keyed).toBe(colour === KEY_GREEN);
  });

  it.each([
    "background=url(x)",
    "background=constructor",
    "background=12345",
    "emoji=fire",
    "counters=maybe",
    "moments=1",
    "position=top",
    "scale=-1",
    "scale=big",
  ])("leave out %s with a warning", (query) => {
    const warn = vi.fn();
    expect(readOptions(`?${query}`, warn)).toEqual(readOptions(""));
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it("bound the scale and the filter", () => {
    expect(readOptions("?scale=1000").scale).toBe(4);
    expect(readOptions("?scale=0.01").scale).toBe(0.25);
    const many = Array.from({ length: 100 }, (_, at) => String.fromCodePoint(0x1f400 + at)).join(",");
    expect(readOptions(`?emoji=${many}`).emoji?.size).toBe(32);
  });

  it("tell emoji with and without presentation as one", () => {
    expect(plain("❤️")).toBe(plain("❤"));
    expect(plain("👍🏽")).not.toBe(plain("👍"));
  });
});
