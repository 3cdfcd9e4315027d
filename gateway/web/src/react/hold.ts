// Press and hold: a tap at once, and after a while one after the other, faster and faster, until it is let go.

/** A press that lasts so long repeats. */
export const HOLD_MS = 320;
/** Between two steps of a hold. */
export const STEP_MS = 110;
/** From so long after it began to repeat, a step is so many taps. */
const FASTER: readonly (readonly [ms: number, taps: number])[] = [
  [4_000, 3],
  [1_500, 2],
  [0, 1],
];

/** Taps of a step, `ms` after the hold began to repeat. */
export function tapsAt(ms: number): number {
  return FASTER.find(([from]) => ms >= from)?.[1] ?? 1;
}

export interface Presses {
  /** So many taps now. `held`: they come from a hold. */
  tap: (count: number, held: boolean) => void;
  /** Looks pressed, or not any more. */
  press?: (pressed: boolean) => void;
}

/** One button's press. It knows no events, so that keys elsewhere on the page press, too. */
export class Press {
  readonly #presses: Presses;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #since: number | undefined;
  #pressed = false;

  constructor(presses: Presses) {
    this.#presses = presses;
  }

  /** Whether it repeats, or did when it was let go: then that was no tap of its own. */
  get held(): boolean {
    return this.#since !== undefined;
  }

  down(): void {
    if (this.#pressed) return;
    this.#pressed = true;
    this.#since = undefined;
    this.#presses.press?.(true);
    this.#timer = setTimeout(() => this.#step(), HOLD_MS);
  }

  up(): void {
    if (!this.#pressed) return;
    clearTimeout(this.#timer);
    this.#pressed = false;
    this.#presses.press?.(false);
  }

  /** A short press has ended where it began. */
  click(): void {
    if (!this.held) this.#presses.tap(1, false);
    this.#since = undefined;
  }

  #step(): void {
    this.#since ??= performance.now();
    this.#presses.tap(tapsAt(performance.now() - this.#since), true);
    this.#timer = setTimeout(() => this.#step(), STEP_MS);
  }
}

/** A key goes down or up. Its repeating is not the keyboard's but the hold's. */
export function pressKey(press: Press, event: KeyboardEvent): void {
  event.preventDefault();
  if (event.type === "keyup") {
    press.up();
    press.click();
  } else if (!event.repeat) press.down();
}

/** Makes a button press by mouse, finger, key and screen reader. */
export function pressable(node: HTMLButtonElement, press: Press): () => void {
  const off = new AbortController();
  const { signal } = off;
  const up = () => press.up();
  /** A key that went down elsewhere does not tap when it comes up here. */
  let key: string | undefined;
  node.addEventListener(
    "pointerdown",
    ({ button, isPrimary }) => {
      if (button === 0 && isPrimary && !node.disabled) press.down();
    },
    { signal },
  );
  // It may be let go anywhere; a finger that begins to scroll cancels, and makes no click.
  for (const type of ["pointerup", "pointercancel", "blur"]) addEventListener(type, up, { signal });
  node.addEventListener("blur", up, { signal });
  // A screen reader clicks and does nothing else.
  node.addEventListener("click", () => press.click(), { signal });
  node.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  node.addEventListener(
    "keydown",
    (event) => {
      if (!["Enter", " "].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
      key = event.key;
      pressKey(press, event);
    },
    { signal },
  );
  node.addEventListener(
    "keyup",
    (event) => {
      if (event.key !== key) return;
      key = undefined;
      pressKey(press, event);
    },
    { signal },
  );
  return () => {
    off.abort();
    press.up();
  };
}
