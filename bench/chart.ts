import { formatNumber } from "./format.ts";
import type { Section } from "./section.ts";

const WIDTH = 760;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 130;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 24;
const TITLE_HEIGHT = 44;

/** Greys and hues of middle lightness: readable on white and on black. */
const TEXT = "#7d8590";
const COLOURS: readonly (readonly [prefix: string, colour: string])[] = [
  ["C ", "#8c959f"],
  ["bun", "#d97757"],
  ["deno", "#3fa37a"],
  ["node", "#4b8bd4"],
];

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly unit: string;
}

/** A bar chart of the sections that are worth one: the shorter, the better. */
export function renderChart(sections: readonly Section[]): string {
  const parts: string[] = [];
  let y = 0;
  for (const section of sections) {
    const bars = barsOf(section);
    if (bars.length === 0) continue;
    parts.push(text(0, y + 26, section.title, 'font-weight="600"'));
    y += TITLE_HEIGHT;
    const longest = Math.max(...bars.map(({ value }) => value));
    for (const bar of bars) {
      parts.push(...renderBar(bar, y, longest));
      y += ROW_HEIGHT;
    }
    y += 12;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" ` +
    `font-family="system-ui, sans-serif" font-size="13" fill="${TEXT}">`,
    "<title>CPU per event, medians</title>",
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function barsOf({ chart, lines }: Section): Bar[] {
  if (chart !== true) return [];
  const bars = new Map<string, Bar>();
  for (const { subject, value, unit } of lines) {
    bars.set(subject, { label: subject, value: value.median, unit });
  }
  return [...bars.values()];
}

function renderBar({ label, value, unit }: Bar, y: number, longest: number): string[] {
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const width = Math.max(1, Math.round(room * value / longest));
  const colour = COLOURS.find(([prefix]) => label.startsWith(prefix))?.[1] ?? TEXT;
  const baseline = y + 14;
  return [
    text(LABEL_WIDTH - 8, baseline, label, 'text-anchor="end"'),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2" fill="${colour}"/>`,
    text(LABEL_WIDTH + width + 8, baseline, `${formatNumber(value)} ${unit}`, ""),
  ];
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}"${attributes === "" ? "" : ` ${attributes}`}>${escaped}</text>`;
}
