// Moving by keys in a grid whose columns are as many as the place allows.

/** Rows of a page. */
const PAGE_ROWS = 5;

/**
 * Where a key leads from `at`; null if it leads nowhere. `tops` are the cells' upper edges, in order: cells of a row share one.
 */
export function moved(key: string, at: number, tops: readonly number[]): number | null {
  const last = tops.length - 1;
  const next = tops.findIndex((top) => top !== tops[0]);
  const columns = next < 0 ? tops.length : next;
  const clamped = (place: number) => Math.min(last, Math.max(0, place));
  switch (key) {
    case "ArrowRight":
      return clamped(at + 1);
    case "ArrowLeft":
      return clamped(at - 1);
    case "ArrowDown":
      return at + columns > last ? at : at + columns;
    case "ArrowUp":
      return at < columns ? at : at - columns;
    case "PageDown":
      return clamped(at + PAGE_ROWS * columns);
    case "PageUp":
      return clamped(at - PAGE_ROWS * columns);
    case "Home":
      return 0;
    case "End":
      return last;
    default:
      return null;
  }
}
