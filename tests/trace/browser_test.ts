import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { buildTrace, formatHtml, parseRecording, type RecordedEvent } from "../../lib/trace/mod.ts";
import { openPage, type Page, whyNoBrowser } from "../support/browser.ts";
import { decodePng, type Picture } from "../support/png.ts";
import { inVirtualMachine, runtime } from "../support/runtimes.ts";
import { endLine, life, recordingText } from "./sample.ts";

const why = runtime !== "node" || inVirtualMachine
  ? "the page is the same on every runtime: Node tests it"
  : whyNoBrowser();
const options = why === undefined ? {} : { skip: why };
const folder = mkdtempSync(join(tmpdir(), "page-"));
after(() => rmSync(folder, { recursive: true }));

const usage = { cpuNs: 15e6, peakRssBytes: 3 * 2 ** 20, readBytes: 4096, writeBytes: 2 ** 20 };
/** Rows: make; cc, then ld, which fails after a loss; as below sh, which runs beside cc. */
const BUILD = [
  ...life([10, 1], [0, 100], ["make"]),
  ...life([11, 10], [10, 40], ["/usr/bin/cc", "-c", "a b.c"], {
    usage,
    process: { uid: 1000, commandLine: ["/usr/bin/cc", "-c", "a b.c"], cwd: "/src/build" },
  }),
  ...life([12, 10], [20, 60], ["sh", "-c", "as"]),
  ...life([13, 12], [30, 31], ["as"]),
  ...life([14, 10], [60, 90], ["ld", "-o", "a"], { exitCode: 2 }),
  { type: "lost", sinceNs: "71000000", timestampNs: "81000000", count: 5 },
];

function pageOf(events: readonly RecordedEvent[]): string {
  return formatHtml(buildTrace(parseRecording(recordingText(events, endLine(100, 2)))));
}

const frame = (page: Page): Promise<unknown> =>
  page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");

const text = (page: Page, id: string): Promise<string> =>
  page.evaluate(`document.getElementById("${id}").innerText`);

/** Opens a page, and waits for what is shown last. */
async function open(page: Page, url: string): Promise<void> {
  await page.open(url);
  await page.until('!document.getElementById("critical-section").hidden');
}

/** Where a time is in a row, in the middle of the box. */
async function pointIn(page: Page, row: number, ms: number): Promise<readonly [x: number, y: number]> {
  const { x, y, width } = await page.evaluate<{ x: number; y: number; width: number }>(
    '(({ x, y, width }) => ({ x, y, width }))(document.getElementById("boxes").getBoundingClientRect())',
  );
  return [x + ms / 100 * width, y + row * 20 + 10];
}

async function pictureOf(page: Page): Promise<Picture> {
  await frame(page);
  return decodePng(await page.screenshot());
}

/** The colours between two times of a row. */
async function colours(
  page: Page,
  picture: Picture,
  row: number,
  fromMs: number,
  toMs: number,
): Promise<Set<string>> {
  const [[x0, y], [x1]] = [await pointIn(page, row, fromMs), await pointIn(page, row, toMs)];
  const found = new Set<string>();
  for (let x = Math.ceil(x0); x < x1; x++) {
    for (const dy of [-9, -8, -7, 6, 7]) found.add(picture.at(x, y + dy));
  }
  return found;
}

const light = (colour: string): number =>
  [1, 3, 5].reduce((sum, at) => sum + Number.parseInt(colour.slice(at, at + 2), 16), 0) / 3;

test("an HTML report in a browser", options, async (t) => {
  const file = join(folder, "build.html");
  writeFileSync(file, pageOf(BUILD));
  await using page = await openPage();
  await page.resize(1280, 900);
  await open(page, `file://${file}`);

  await t.test("it draws each process in its place, failures in red and losses hatched", async () => {
    const picture = await pictureOf(page);
    const back = picture.at(2, 2);
    const of = (row: number, from: number, to: number): Promise<Set<string>> =>
      colours(page, picture, row, from, to);
    assert(!(await of(0, 1, 79)).has(back), "make is there all the time");
    assert.deepEqual([...await of(1, 1, 9.5)], [back], "nothing is beside it before cc");
    assert(!(await of(1, 11, 39)).has(back), "cc");
    assert.deepEqual([...await of(1, 40.5, 59.5)], [back], "nothing is between cc and ld");
    assert.deepEqual([...await of(2, 1, 19.5)], [back], "sh has a row of its own");
    assert(!(await of(2, 21, 59)).has(back), "sh");
    assert(!(await of(3, 30.1, 30.9)).has(back), "as is below sh");
    assert((await of(1, 60.1, 89.5)).has("#c4221f"), "ld has a red frame");
    assert(!(await of(1, 11, 39)).has("#c4221f"), "cc has none");
    const inside = async (from: number, to: number): Promise<number> => {
      const [[x0, y], [x1]] = [await pointIn(page, 1, from), await pointIn(page, 1, to)];
      return new Set(Array.from({ length: Math.floor(x1 - x0) }, (_, i) => picture.at(x0 + i, y))).size;
    };
    assert(await inside(85, 89) > 3, "what the loss touches is hatched");
    assert.equal(await inside(35, 39), 1, "what ended before it is not");
    assert.match(
      await text(page, "notices"),
      /Lost between 70\.0ms and 80\.0ms: 5 events\. Times and programs .* uncertain/,
    );
    assert.match(await text(page, "totals"), /^5 processes in 100ms · 1 failed · exit status 2 · /);
    assert.match(
      await page.evaluate("document.body.innerText"),
      /Command lines may hold passwords and tokens/,
    );
  });

  await t.test("a click tells all of a process, and its command can be copied", async () => {
    await page.click(...await pointIn(page, 1, 25));
    const details = await text(page, "details");
    for (
      const part of [
        /^\/usr\/bin\/cc -c 'a b\.c'/,
        /Status\s+succeeded/,
        /Duration\s+30\.0ms/,
        /Start\s+10\.0ms after/,
      ]
        .concat([
          /CPU\s+15\.0ms \(50% of/,
          /Peak memory\s+3\.0 MiB/,
          /Disk\s+4\.0 KiB read, 1\.0 MiB written/,
        ])
        .concat([/Process\s+11, of user 1000/, /Parents\s+make/])
    ) assert.match(details, part);
    await page.evaluate('document.querySelector("#details button").click()');
    await page.until('document.querySelector("#details button").innerText !== "Copy command"');
    const copied = await page.evaluate<string>(
      `document.querySelector("#details button").innerText === "Copied"
      ? "" : getSelection().toString()`,
    );
    assert(["", "/usr/bin/cc -c 'a b.c'"].includes(copied));
    await page.click(...await pointIn(page, 1, 75));
    assert.match(await text(page, "details"), /failed with status 2[^]*~30\.0ms \(uncertain/);
    await page.evaluate('[...document.querySelectorAll("#details li button")].at(-1).click()');
    assert.match(await text(page, "details"), /^make/, "a parent is a button");
  });

  await t.test("a search pales the rest, and Enter goes from match to match", async () => {
    const before = await pictureOf(page);
    await page.press("/");
    for (const key of "cc") await page.press(key);
    assert.equal(await text(page, "matches"), "1 match");
    const [x, y] = await pointIn(page, 2, 55);
    assert.notEqual((await pictureOf(page)).at(x, y), before.at(x, y), "sh is pale");
    await page.press("Enter");
    assert.match(await text(page, "details"), /^\/usr\/bin\/cc/);
    await page.press("Escape");
    assert.equal(await page.evaluate('document.getElementById("search").value'), "");
    assert.equal((await pictureOf(page)).at(x, y), before.at(x, y), "nothing is pale any more");
    await page.evaluate('document.getElementById("failures").click()');
    assert.match(await text(page, "details"), /^ld -o a/);
    await page.press("Escape");
    await page.evaluate(
      '[...document.querySelectorAll("#programs td button")].find((b) => b.innerText === "as").click()',
    );
    assert.equal(await text(page, "matches"), "1 match");
    await page.press("Escape");
  });

  await t.test("the critical path says what everything waited for, and a click shows it", async () => {
    assert.match(
      await text(page, "critical"),
      /^sh -c as\s+39\.0ms\s+39%\s+~ make\s+30\.0ms\s+30%\s+~ ld -o a\s+30\.0ms\s+30%\s+as\s+1\.00ms\s+1%/,
    );
    await page.evaluate('document.querySelectorAll("#critical button")[2].click()');
    assert.match(await text(page, "details"), /^ld -o a/);
    await page.press("Escape");
    assert(await page.evaluate('document.getElementById("findings-section").hidden'), "there is none");
  });

  await t.test("the slider hides what was short", async () => {
    const slide = (value: number): Promise<unknown> =>
      page.evaluate(`{
        const slider = document.getElementById("shortest");
        slider.value = ${value};
        slider.dispatchEvent(new Event("input"));
      }`);
    const height = (): Promise<number> => page.evaluate('document.getElementById("spacer").offsetHeight');
    assert.equal(await height(), 80);
    await slide(40);
    assert.equal(await height(), 60, "as, of 1 ms, is gone");
    await slide(0);
    assert.equal(await height(), 80);
  });

  await t.test("wheel, keys and dragging move what is visible", async () => {
    const [x, y] = await pointIn(page, 1, 25);
    const width = async (): Promise<number> => {
      const picture = await pictureOf(page);
      const colour = picture.at(x, y - 8);
      let count = 0;
      for (let at = 18; at < 1262; at++) if (picture.at(at, y - 8) === colour) count++;
      return count;
    };
    const before = await width();
    await page.wheel(x, y, -200);
    await frame(page);
    const zoomed = await width();
    assert(zoomed > 1.3 * before, `${before} pixels, then ${zoomed}`);
    await page.drag([x, y], [x - 900, y]);
    await page.click(x, y);
    assert.doesNotMatch(await text(page, "details"), /^\/usr\/bin\/cc/, "cc is elsewhere");
    await page.press("Escape");
    await page.press("0");
    assert.equal(await width(), before);
    await page.press("+");
    assert(await width() > 1.1 * before, "a part of cc is out of sight now");
    await page.press("-");
    assert.equal(await width(), before);
  });

  await t.test("every control can be reached by Tab", async () => {
    const controls = [
      "search",
      "previous",
      "next",
      "failures",
      "shortest",
      "zoom-in",
      "zoom-out",
      "fit",
      "boxes",
    ];
    await page.evaluate('document.getElementById("search").focus()');
    const reached: string[] = [];
    for (const _ of controls) {
      reached.push(await page.evaluate("document.activeElement.id"));
      await page.press("Tab");
    }
    assert.deepEqual(reached, controls);
    await page.evaluate('document.getElementById("boxes").focus()');
    await page.press("Enter");
    assert.match(await text(page, "details"), /^make/, "Enter selects");
    await page.press("Escape");
  });

  await t.test("it is readable in 400 pixels, and in the dark", async () => {
    for (const [width, dark] of [[400, false], [400, true], [1280, true]] as const) {
      await page.resize(width, 900, dark);
      await open(page, `file://${file}`);
      assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width, "nothing is cut off");
      const picture = await pictureOf(page);
      const [x, y] = await pointIn(page, 2, 10);
      for (const colour of [picture.at(2, 2), picture.at(x, y)]) {
        assert.equal(light(colour) < 60, dark, colour);
      }
      const ink = await page.evaluate<string>("getComputedStyle(document.body).color");
      assert.equal(Number(/\d+/.exec(ink)![0]) > 200, dark, ink);
    }
  });

  assert.deepEqual([...new Set(page.requests)], [`file://${file}`]);
  assert.deepEqual(page.messages, []);

  await t.test("a hostile recording runs nothing and requests nothing", async () => {
    const seen: string[] = [];
    let html = "";
    const server = createServer((request, response) => {
      seen.push(request.url!);
      response.writeHead(200, { "content-type": "text/html" }).end(html);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const name =
        `</script><script>document.title="owned"</script><img src="${url}x" onerror="document.title='owned'">`;
      const words = [name, "<!--", "\u2028", "\u202e", `"><link rel="stylesheet" href="${url}y">`];
      const hostile = { exitCode: 1, process: { cwd: name, exe: name, commandLine: words } };
      html = pageOf(
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19].flatMap((pid) =>
          life([pid, pid === 10 ? 1 : 10], [0, 100], words, hostile)
        ),
      );
      await page.resize(1280, 900);
      await open(page, url);
      assert((await text(page, "findings")).includes("The same command ran 10 times: '</script><script>"));
      await page.click(...await pointIn(page, 0, 50));
      assert((await text(page, "details")).includes("<script>document.title="), "it is shown as text");
      assert(
        (await text(page, "details")).includes("\\u202e") ||
          (await text(page, "details")).includes("\\xe2\\x80\\xae"),
      );
      assert.match(await page.evaluate("document.title"), /: trace$/);
      assert.equal(
        await page.evaluate('document.querySelectorAll("img, link, iframe, body style").length'),
        0,
      );
      assert.equal(await page.evaluate("document.scripts.length"), 2);
      // Were there such code in the page, its policy would not let it out.
      await page.evaluate(`fetch("${url}z").catch(() => {})`);
      await page.evaluate(
        `new Promise((done) => { const i = new Image(); i.onload = i.onerror = done; i.src = "${url}i"; })`,
      );
      assert.deepEqual(seen, ["/"]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
