import { readFileSync } from "node:fs";
import { type Connector, openConnector } from "../../../lib/connector/connector.ts";
import type { CbId } from "../../../lib/connector/message.ts";

/**
 * Two connectors that trust only each other, because other tests may use the same groups at the same time. The first
 * simulates the kernel.
 */
export class Pair implements AsyncDisposable {
  readonly kernel: Connector;
  readonly program: Connector;

  private constructor(kernel: Connector, program: Connector) {
    this.kernel = kernel;
    this.program = program;
  }

  static async open(): Promise<Pair> {
    const ports = { kernel: -1, program: -1 };
    const kernel = await openConnector({ trust: ({ port }) => port === ports.program });
    const program = await openConnector({ trust: ({ port }) => port === ports.kernel });
    ports.kernel = kernel.port;
    ports.program = program.port;
    return new Pair(kernel, program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.close();
    await this.program.close();
  }
}

/** Why an identifier cannot be used between programs here, or false: the real driver is loaded, or a capability is missing. */
export async function whyNoBus(id: CbId): Promise<string | false> {
  try {
    const served = readFileSync("/proc/net/connector", "utf8");
    if (served.split("\n").some((line) => line.endsWith(` ${id.idx}:${id.val}`))) {
      return "the kernel has the real driver";
    }
    await using connector = await openConnector();
    connector.send(id, new Uint8Array(), { port: connector.port });
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}
