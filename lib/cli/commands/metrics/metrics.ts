import { type Command, InvalidArgumentError, Option } from "commander";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { type ProcessWatch, watchProcesses } from "../../../../mod.ts";
import { groupNamer, type GroupRule } from "../../../metrics/group_rules.ts";
import { processMetrics } from "../../../metrics/metrics.ts";
import { formatMetrics } from "../../../metrics/text.ts";
import { ProcessAggregate } from "../../../processes/aggregate.ts";
import { safeSentence } from "../../../wire/escape.ts";
import { list, positiveInteger, seconds } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { VERSION } from "../../version.ts";
import { type ListenAddress, MetricsServer, parseListen } from "./server.ts";

interface MetricsFlags {
  readonly listen?: ListenAddress;
  readonly textfile?: string;
  readonly interval: number;
  readonly group?: readonly GroupRule[];
  readonly maxGroups: number;
}

const DEFAULT_LISTEN = "127.0.0.1:9469";
/** How long an event may wait: a scrape comes rarely. */
const LATENCY_MS = 250;

const DETAILS = `
Starts, ends, failures by code and signal, lifetimes, and (with CAP_NET_ADMIN)
CPU time and memory of all processes, also of those that live for a millisecond,
in the text format of Prometheus. Lost and forged events are counted, too.

A group is the name of a program, or what --group says: web=nginx* counts all
programs whose name, or whose file's name, begins with nginx as web. The first
rule that matches counts. A group of a rule is there with 0 before any of its
processes. Beyond --max-groups, programs are counted as (others). No label ever
has a pid, a path or an argument.

--textfile is for the textfile collector of node_exporter: the file, whose name
should end in .prom, is replaced every --interval seconds.

The exit status is 0 after Ctrl-C, SIGTERM or SIGHUP; 1 on failure; 2 for wrong
arguments.

Examples:
  cnctl metrics
  cnctl metrics --listen '[::1]:9469' --group backup=rsync --group web='nginx*'
  cnctl metrics --textfile /var/lib/prometheus/node-exporter/cnctl.prom`;

/** Adds `cnctl metrics`. */
export function addMetrics(program: Command, finish: (status: number) => void): void {
  program.command("metrics")
    .description("Count what processes do, for Prometheus.")
    .addOption(
      new Option("--listen <address>", `serve /metrics there (default: ${DEFAULT_LISTEN})`).argParser(
        parseListen,
      )
        .conflicts("textfile"),
    )
    .option("--textfile <file>", "write a file instead")
    .addOption(
      new Option("--interval <time>", "write the file every so many seconds").default(15).argParser(seconds),
    )
    .option("-g, --group <name=pattern>", "count programs together (repeatable)", list(rule))
    .addOption(
      new Option("--max-groups <number>", "groups that are kept apart").default(200).argParser(
        positiveInteger,
      ),
    )
    .addHelpText("after", DETAILS)
    .action(async (flags: MetricsFlags) => finish(await metrics(flags)));
}

async function metrics(flags: MetricsFlags): Promise<number> {
  using stop = new StopRequest();
  const { group: rules = [], maxGroups, textfile } = flags;
  const aggregate = new ProcessAggregate("program", maxGroups, groupNamer(rules));
  for (const { group } of rules) aggregate.expect(group);
  await using watch = await watchProcesses({
    events: ["fork", "exec", "exit", "comm", "uid"],
    processInfo: { fields: rules.length > 0 ? ["exe"] : [] },
    snapshot: true,
    usage: true,
    latencyMs: LATENCY_MS,
  });
  const refusal = watch.stats().usage?.refusal;
  if (refusal !== undefined) writeError(`cnctl: CPU time and memory are unknown: ${refusal}\n`);
  const text = (): string =>
    formatMetrics(processMetrics({
      aggregate,
      stats: watch.stats(),
      wallTimeMs: (ns) => watch.wallTimeMs(ns),
      version: VERSION,
    }));
  stop.onRequest(() => watch.close());
  if (textfile !== undefined) {
    using _file = new TextFile(textfile, text, flags.interval);
    writeError(`cnctl: Writing ${safeSentence(textfile)}; press Ctrl-C to stop.\n`);
    await sumUp(watch, aggregate);
  } else {
    await using server = await MetricsServer.open(flags.listen ?? parseListen(DEFAULT_LISTEN), text);
    writeError(`cnctl: Serving ${server.url}; press Ctrl-C to stop.\n`);
    await sumUp(watch, aggregate);
  }
  return EXIT.ok;
}

async function sumUp(watch: ProcessWatch, aggregate: ProcessAggregate): Promise<void> {
  for await (const batch of watch.batches()) aggregate.apply(batch);
}

/** A file that is replaced again and again, at once and as a whole: a reader never sees a part of it. */
class TextFile implements Disposable {
  readonly #path: string;
  readonly #text: () => string;
  readonly #timer: ReturnType<typeof setInterval>;
  #failed = false;

  constructor(path: string, text: () => string, interval: number) {
    this.#path = path;
    this.#text = text;
    this.#write();
    this.#timer = setInterval(() => this.#attempt(), interval * 1000);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    // What is not updated any more would look as if nothing happened.
    rmSync(this.#path, { force: true });
  }

  /** A disk that is full for a while is no reason to end. */
  #attempt(): void {
    try {
      this.#write();
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) writeError(`cnctl: ${safeSentence((error as Error).message)}\n`);
      this.#failed = true;
    }
  }

  #write(): void {
    const partial = `${this.#path}.${process.pid}`;
    try {
      writeFileSync(partial, this.#text(), { mode: 0o644 });
      renameSync(partial, this.#path);
    } catch (error) {
      rmSync(partial, { force: true });
      const reason = (error as { code?: string }).code ?? (error as Error).message;
      throw new Error(`Cannot write ${this.#path}: ${reason}`, { cause: error });
    }
  }
}

function rule(text: string): readonly GroupRule[] {
  const at = text.indexOf("=");
  const group = text.slice(0, at).trim();
  const pattern = text.slice(at + 1);
  if (at < 0 || group === "" || pattern === "") {
    throw new InvalidArgumentError("It must be NAME=PATTERN, such as web=nginx*.");
  }
  return [{ group, pattern }];
}
