import type { Timeline } from "./timeline.ts";

/** How far an arrow key moves, in pixels. */
const STEP = 80;
const ZOOM = 1.5;
/** A pointer that moves less than this between press and release has clicked. */
const CLICK_PIXELS = 4;

/** Keys, wherever the focus is, but in the search field. */
export function listenToKeys(timeline: Timeline, search: HTMLInputElement, canvas: HTMLElement): void {
  const anywhere: Readonly<Record<string, () => void>> = {
    "/": () => search.select(),
    "+": () => timeline.zoom(1 / ZOOM),
    "=": () => timeline.zoom(1 / ZOOM),
    "-": () => timeline.zoom(ZOOM),
    "0": () => timeline.fit(),
    "ArrowLeft": () => timeline.move(-STEP, 0),
    "ArrowRight": () => timeline.move(STEP, 0),
    "Escape": () => timeline.clear(),
  };
  /** Elsewhere they scroll the page, and press buttons. */
  const onCanvas: Readonly<Record<string, () => void>> = {
    "ArrowUp": () => timeline.move(0, -STEP),
    "ArrowDown": () => timeline.move(0, STEP),
    "Enter": () => timeline.selectAt(undefined),
  };
  const inSearch: Readonly<Record<string, (event: KeyboardEvent) => void>> = {
    "Enter": ({ shiftKey }) => timeline.step(shiftKey ? -1 : 1),
    "Escape": () => {
      timeline.clear();
      canvas.focus();
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    const action = target === search
      ? inSearch[key]
      : target instanceof HTMLInputElement
      ? key === "Escape" ? anywhere[key] : undefined
      : (target === canvas ? onCanvas[key] : undefined) ?? anywhere[key];
    if (action === undefined) return;
    event.preventDefault();
    action(event);
  });
}

/** Wheel zooms, Shift and wheel or dragging moves, a click selects. */
export function listenToPointer(timeline: Timeline, canvas: HTMLCanvasElement, selects: boolean): void {
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 0 ? 1 : 20; // pixels or lines
    const [x, y] = [event.deltaX * unit, event.deltaY * unit];
    if (event.shiftKey || Math.abs(x) > Math.abs(y)) timeline.move(x || y, 0);
    else timeline.zoom(Math.exp(Math.max(-200, Math.min(200, y)) * 0.002), event.offsetX);
  }, { passive: false });

  let pressed: { x: number; y: number; moved: boolean } | undefined;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pressed = { x: event.clientX, y: event.clientY, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (pressed === undefined) {
      if (selects) timeline.tip({ x: event.offsetX, y: event.offsetY });
      return;
    }
    const [x, y] = [pressed.x - event.clientX, pressed.y - event.clientY];
    if (!pressed.moved && Math.hypot(x, y) < CLICK_PIXELS) return;
    timeline.tip(undefined);
    // A finger's movement up and down is the browser's: it scrolls.
    timeline.move(x, event.pointerType === "mouse" ? y : 0);
    pressed = { x: event.clientX, y: event.clientY, moved: true };
  });
  canvas.addEventListener("pointerup", (event) => {
    if (selects && pressed?.moved === false) timeline.selectAt({ x: event.offsetX, y: event.offsetY });
    pressed = undefined;
  });
  canvas.addEventListener("pointercancel", () => pressed = undefined);
  canvas.addEventListener("pointerleave", () => timeline.tip(undefined));
}
