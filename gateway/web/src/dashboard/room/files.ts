// What is taken along of a room: its charts as a picture, its counts as a table.

import type Chart from "../chart/Chart.svelte";
import { present } from "../gateway";
import { draw, save, table, toPng, type Sheet } from "../picture";
import type { Definition } from "../windows";

export type Shown = { room: string; from: number; to: number; step: number; definition: Definition | null };

/** Says whose it is and from when, also in a full folder. */
function fileName({ room, from, to }: Shown, ending: string): string {
  const stamp = (ms: number) => new Date(ms).toISOString().slice(0, 19).replaceAll(":", "");
  return `${room}_${stamp(from)}_${stamp(to)}.${ending}`;
}

/** Final windows of the range, added up as the charts show them. */
export async function saveTable(shown: Shown): Promise<void> {
  const { room, from, to, step, definition } = shown;
  const sum = definition?.kind === "tumbling" && step > definition.length ? step : null;
  const asked = { room, window: definition?.name ?? null, from: Math.floor(from / step) * step, to: Math.ceil(Math.min(to, present())), step: sum };
  save(await table(asked), fileName(shown, "csv"));
}

export type Part = { title: string; chart: Chart | undefined; legend: { text: string; colour: string }[] };

/** The charts below each other. Colours are names of the style sheet. */
export async function savePicture(shown: Shown, subtitle: string, parts: Part[]): Promise<void> {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const sheets: Sheet[] = parts.flatMap(({ title, chart, legend }) => {
    const canvas = chart?.canvas();
    const colours = legend.map(({ text, colour: name }) => ({ text, colour: colour(name) }));
    return canvas ? [{ title, canvas, legend: colours, faces: chart?.faces() ?? [] }] : [];
  });
  const content = await toPng(draw(shown.room, subtitle, sheets, { ink: colour("--ink"), soft: colour("--soft"), card: colour("--card") }));
  if (!content) throw new Error("this browser gives no picture of a canvas");
  save(content, fileName(shown, "png"));
}
