import { AFTER_DATA, BEFORE_DATA } from "./html_page.ts";
import { encodePageData } from "./page_data.ts";
import type { Trace } from "./trace.ts";

/**
 * A trace as one HTML file: processes over time, a table of programs, search, and all that is known of each process. Its
 * Content-Security-Policy allows the script and the style that are in it and no request at all.
 */
export function formatHtml(trace: Trace): string {
  return BEFORE_DATA + encodePageData(trace) + AFTER_DATA;
}
