// A screen that nobody touches: it stays on, and shows no cursor.

const CURSOR_MS = 3_000;

/** Keeps the screen on while the page is seen, where the browser can. */
export function keepAwake(): void {
  const ask = async (): Promise<void> => {
    if (document.visibilityState !== "visible") return;
    try {
      await navigator.wakeLock?.request("screen");
    } catch {
      // A low battery, or a setting, may forbid it.
    }
  };
  // The browser takes the lock back when the page is hidden.
  document.addEventListener("visibilitychange", ask);
  void ask();
}

/** Hides the cursor when it has not moved for a while. */
export function hideCursor(): void {
  const root = document.documentElement;
  let timer = 0;
  const seen = (): void => {
    root.classList.remove("untouched");
    clearTimeout(timer);
    timer = window.setTimeout(() => root.classList.add("untouched"), CURSOR_MS);
  };
  addEventListener("pointermove", seen, { passive: true });
  addEventListener("pointerdown", seen, { passive: true });
  seen();
}
