// The style sheet's colours, for a canvas.

/** Colours as they are now; a name that the style sheet does not have is ink. */
export class Colours {
  #style: CSSStyleDeclaration;

  constructor(element: Element) {
    this.#style = getComputedStyle(element);
  }

  of(name: string): string {
    return this.#style.getPropertyValue(name).trim() || "#808080";
  }

  /** The colour, thinned with the ground of the chart: opaque, so that what is behind does not shine through. */
  thin(name: string, share: number): string {
    const [one, other] = [parts(this.of(name)), parts(this.of("--card"))];
    const mixed = one.map((value, at) => Math.round(value * share + (other[at] ?? 0) * (1 - share)));
    return `rgb(${mixed.join(" ")})`;
  }

  /** The colour with an opacity. */
  clear(name: string, opacity: number): string {
    return `rgb(${parts(this.of(name)).join(" ")} / ${opacity})`;
  }
}

/** Red, green and blue of `#rrggbb`. */
function parts(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) || 0);
}
