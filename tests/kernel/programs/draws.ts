/** Draws a screen whose view fails: at the second frame (`draw`), at a key (`key`), or before a frame (`prepare`). */
import process from "node:process";
import { errorText } from "../../../lib/cli/errors.ts";
import { Screen } from "../../../lib/cli/screen/screen.ts";

const where = process.argv[2];
let frames = 0;
const { promise, resolve } = Promise.withResolvers<void>();
try {
  using screen = new Screen({
    draw(columns, rows) {
      if (where === "draw" && frames > 0) throw new Error("the view fails");
      return [`frame ${++frames} of ${columns} x ${rows}`];
    },
    onKey() {
      throw new Error("the view fails");
    },
  }, resolve);
  const timer = setInterval(() =>
    screen.draw(() => {
      if (where === "prepare") throw new Error("the view fails");
    }), 500);
  await promise;
  clearInterval(timer);
} catch (error) {
  process.stderr.write(errorText(error));
  process.exitCode = 1;
}
