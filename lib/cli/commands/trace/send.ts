import { exportOtlp, type ExportOtlpOptions, type OtlpOptions, type Trace } from "../../../trace/mod.ts";
import { safeSentence } from "../../../wire/escape.ts";
import { writeError } from "../../io/output.ts";
import { environment } from "../../runtime.ts";

/** What the environment variables of OpenTelemetry say about the source of spans. */
export function otlpResource(): OtlpOptions {
  const service = environment("OTEL_SERVICE_NAME") || undefined;
  return {
    resource: {
      ...pairs("OTEL_RESOURCE_ATTRIBUTES"),
      ...service !== undefined && { "service.name": service },
    },
  };
}

/** Sends a trace, says what became of it, and returns whether all of it was taken. */
export async function sendSpans(trace: Trace, endpoint: string): Promise<boolean> {
  const { spans, rejected, message } = await exportOtlp(trace, endpoint, {
    ...otlpResource(),
    ...sendingOptions(),
    onRetry: (reason, pauseMs) =>
      writeError(
        `cnctl: Cannot send spans: ${safeSentence(reason)}; next attempt in ${
          (pauseMs / 1000).toFixed(1)
        } s\n`,
      ),
  });
  const said = message === undefined ? "" : `: ${safeSentence(message)}`;
  if (rejected > 0) writeError(`cnctl: The receiver did not take ${rejected} of ${spans} spans${said}\n`);
  else if (message !== undefined) writeError(`cnctl: The receiver warns${said}\n`);
  return rejected === 0;
}

function sendingOptions(): Pick<ExportOtlpOptions, "headers" | "timeoutMs"> {
  const timeout = ofTraces("TIMEOUT") ?? "";
  return {
    headers: { ...pairs("OTEL_EXPORTER_OTLP_HEADERS"), ...pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS") },
    timeoutMs: /^[1-9]\d{0,8}$/.test(timeout) ? Number(timeout) : undefined,
  };
}

/** A variable for traces, or else for everything. */
function ofTraces(name: string): string | undefined {
  return environment(`OTEL_EXPORTER_OTLP_TRACES_${name}`) || environment(`OTEL_EXPORTER_OTLP_${name}`);
}

/** A list `a=1,b=x%20y`. If a part is not understood, the whole is left out, as the specification wants. */
function pairs(variable: string): Record<string, string> {
  const entries: [string, string][] = [];
  for (const part of (environment(variable) ?? "").split(",")) {
    if (part.trim() === "") continue;
    const at = part.indexOf("=");
    try {
      if (at < 1) throw new URIError("no name");
      entries.push([part.slice(0, at).trim(), decodeURIComponent(part.slice(at + 1).trim())]);
    } catch {
      writeError(`cnctl: ${variable} is left out: it must be a list such as a=1,b=x%20y\n`);
      return {};
    }
  }
  return Object.fromEntries(entries);
}
