/** The colours of page.css, for canvases. */
export interface Theme {
  readonly back: string;
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  readonly accent: string;
  readonly failed: string;
  readonly many: string;
  readonly working: string;
  readonly busy: string;
  readonly boxText: string;
  /** Of boxes, as CSS has it in hsl(). */
  readonly boxLight: string;
}

/** The colours that apply now. */
export function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    back: of("back"),
    text: of("text"),
    faint: of("faint"),
    line: of("line"),
    accent: of("accent"),
    failed: of("failed"),
    many: of("many"),
    working: of("working"),
    busy: of("busy"),
    boxText: of("box-text"),
    boxLight: of("box-light"),
  };
}

/** The colour of a program's boxes: the same for the same name, and never red, which means failed. */
export function colourOf(name: string, { boxLight }: Theme): string {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
  // By the golden angle, so that names that differ by little have colours that differ much.
  const hue = 35 + (hash % 1000) * 137.5 % 290;
  return `hsl(${hue} 48% ${boxLight})`;
}
