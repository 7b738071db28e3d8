/** The page of an HTML report: reads the trace that it holds, and shows it. */
import { decodePageData } from "../page_data.ts";
import { byId } from "./dom.ts";
import { showHeader } from "./header.ts";
import { showPrograms } from "./programs.ts";
import { showSummary } from "./summary.ts";
import { Timeline } from "./timeline.ts";

/** When what takes long is shown. */
const AFTER_MS = 300;

const trace = decodePageData(byId("data").textContent!);
showHeader(trace);
const timeline = new Timeline(trace);
showPrograms(byId("programs"), trace, (text) => timeline.search(text));
// The timeline is drawn first, and can be moved: of a large trace the rest takes a moment.
setTimeout(() =>
  showSummary(trace, (process) => {
    timeline.select(process);
    timeline.reveal(process);
  }), AFTER_MS);
