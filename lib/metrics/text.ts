/** A label and its value, which may be any text. */
type Labels = Readonly<Record<string, string>>;

/** A value with its labels. `suffix` is that of a histogram: `_bucket`. */
export interface Sample {
  readonly suffix?: string | undefined;
  readonly labels?: Labels | undefined;
  readonly value: number;
}

/** What belongs to one name. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** What a scrape is answered with. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Metrics in the text format of Prometheus, version 0.0.4. Samples of a family are together, after its HELP and TYPE;
 * those with the same labels are one, with the sum.
 */
export function formatMetrics(families: readonly MetricFamily[]): string {
  let text = "";
  for (const { name, help, type, samples } of families) {
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    const lines = new Map<string, number>();
    for (const { suffix = "", labels = {}, value } of samples) {
      const series = `${name}${suffix}${labelText(labels)}`;
      lines.set(series, (lines.get(series) ?? 0) + value);
    }
    for (const [series, value] of lines) text += `${series} ${numberText(value)}\n`;
  }
  return text;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join()}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** A label may have any UTF-8; one byte that is none makes the whole scrape fail, so lone surrogates are replaced. */
function escapeLabel(value: string): string {
  return value.toWellFormed().replace(
    /[\\"\n]/g,
    (character) => character === "\n" ? "\\n" : `\\${character}`,
  );
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
