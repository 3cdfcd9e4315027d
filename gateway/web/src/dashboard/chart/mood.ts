// How the mood of the crowd is drawn: up is good, down is bad, and the paler, the fewer taps say so.

import type uPlot from "uplot";
import type { Point } from "../series";
import type { Colours } from "./colours";

/** The palest that a score is drawn. */
const OPACITY_MIN = 0.15;
const LINE_PX = 2;

export function paintMood(points: () => Point[], step: () => number): (plot: uPlot, colours: Colours) => void {
  return (plot, colours) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const zero = plot.valToPos(0, "y", true);
    for (const { start, score, coverage } of points()) {
      if (score === null) continue;
      const left = plot.valToPos(start, "x", true);
      const right = plot.valToPos(start + step(), "x", true);
      const top = plot.valToPos(score, "y", true);
      const opacity = OPACITY_MIN + (1 - OPACITY_MIN) * coverage;
      ctx.fillStyle = colours.clear(score >= 0 ? "--good" : "--bad", opacity * 0.6);
      ctx.fillRect(left, Math.min(zero, top), Math.max(1, right - left), Math.abs(top - zero));
      ctx.fillStyle = colours.of("--ink");
      ctx.fillRect(left, top - LINE_PX / 2, Math.max(1, right - left), LINE_PX * devicePixelRatio);
    }
    ctx.strokeStyle = colours.of("--soft");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, zero);
    ctx.lineTo(bbox.left + bbox.width, zero);
    ctx.stroke();
    ctx.restore();
  };
}
