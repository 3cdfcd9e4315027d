// Which emoji this device can draw: others would be boxes, or fall apart.

import type { Emoji } from "./emoji";

const SIZE = 24;
const FONT = `${SIZE}px "Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji", "Twemoji Mozilla", sans-serif`;

/** Tells by one emoji of each version whether the device knows that version. */
export function drawable(all: readonly Emoji[]): (emoji: Emoji) => boolean {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE * 2;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return () => true;
  context.font = FONT;
  context.textBaseline = "top";
  const wide = context.measureText("😀").width * 1.5;

  const picture = (emoji: string, colour: string) => {
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = colour;
    context.fillText(emoji, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height).data;
  };
  // What is no picture takes the colour of text, or is nothing; of what is joined, parts stand side by side.
  const draws = (emoji: string) => {
    const [red, blue] = [picture(emoji, "#f00"), picture(emoji, "#00f")];
    return context.measureText(emoji).width < wide && red.some(Boolean) && red.every((value, at) => value === blue[at]);
  };

  const known = new Map<string, boolean>([["", true]]);
  for (const { emoji, version } of all) if (!known.has(version)) known.set(version, draws(emoji));
  return ({ version }) => known.get(version) ?? true;
}
