/** The page of an HTML report: reads the trace that it holds, and shows it. */
import { decodePageData } from "../page_data.ts";
import { byId } from "./dom.ts";
import { showHeader } from "./header.ts";
import { showPrograms } from "./programs.ts";
import { showSummary } from "./summary.ts";
import { Timeline } from "./timeline.ts";

const trace = decodePageData(byId("data").textContent!);
showHeader(trace);
const timeline = new Timeline(trace);
showPrograms(byId("programs"), trace, (text) => timeline.search(text));
// The timeline is drawn first: of a large trace this takes a moment.
requestAnimationFrame(() =>
  setTimeout(() =>
    showSummary(trace, (process) => {
      timeline.select(process);
      timeline.reveal(process);
    })
  )
);
