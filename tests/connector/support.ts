import { closingOf, type Connector, openConnectorOn } from "../../lib/connector/connector.ts";
import type { ConnectorOptions, ErrorContext } from "../../lib/connector/options.ts";
import { type CbId, type CnMsg, decodeCnMsg, encodeDatagram } from "../../lib/connector/message.ts";
import type { FakeSender, SentDatagram } from "../support/fake_libc.ts";
import { type FakeSystem, fakeSystem } from "../support/fake_poller.ts";

/** A connector on a machine made of fakes, and what a test does with it. */
export interface Stage extends AsyncDisposable {
  readonly system: FakeSystem;
  readonly bus: Connector;
  /** The errors that `onError` was called with, and their operations. */
  readonly failures: [error: unknown, operation: string][];
  /** Lets a message arrive. */
  arrive(message: Partial<CnMsg>, from?: FakeSender): void;
  /** What was sent, decoded, with where it went. */
  sent(): (CnMsg & { readonly port: number; readonly groups: number })[];
}

/** The identifier that these tests use; nobody serves it in the kernel. */
export const ID: CbId = { idx: 20, val: 1 };

/** A connector whose kernel serves cn_proc and 21:1, and where ports 7 (groups 12 and 20) and 8 (group 20) are others. */
export function stage(options: ConnectorOptions = {}): Stage {
  const system = fakeSystem();
  const { libc } = system;
  libc.files.write("/proc/net/connector", kernelList([[1, 1, "cn_proc"], [21, 1, "driver"]]));
  libc.files.write(
    "/proc/net/netlink",
    busList([[0, 0], [7, 1 << 11 | 1 << 19], [8, 1 << 19], [libc.pid, 1 << 24]]),
  );
  const failures: [unknown, string][] = [];
  const onError = (error: unknown, { operation }: ErrorContext): void =>
    void failures.push([error, operation]);
  const bus = openConnectorOn(system, { onError, ...options });
  const { fd } = libc.sockets[0]!;
  return {
    system,
    bus,
    failures,
    arrive: (message, from = { port: 7 }) =>
      libc.receives(fd, { bytes: encodeDatagram(whole(message)), from }),
    sent: () => libc.sent.map(decodeSent),
    [Symbol.asyncDispose]: async () => {
      await bus.close();
      await settle();
      libc.assertAllClosed();
    },
  };
}

/** Whether a connector is closed, without waiting for it. */
export function isClosed(bus: Connector): boolean {
  return closingOf(bus).isOver;
}

/** A message with what is not given filled in. */
export function whole(message: Partial<CnMsg>): CnMsg {
  return { id: ID, seq: 1, ack: 2, flags: 0, data: new Uint8Array(), ...message };
}

/** A datagram that was sent, decoded. */
export function decodeSent(
  datagram: SentDatagram,
): CnMsg & { readonly port: number; readonly groups: number } {
  const { bytes, port, groups } = datagram;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { ...decodeCnMsg(view, 16, bytes.length), port, groups };
}

/** /proc/net/connector with these identifiers. */
export function kernelList(
  identifiers: readonly (readonly [idx: number, val: number, name: string])[],
): string {
  const lines = identifiers.map(([idx, val, name]) => `${name.padEnd(15)} ${idx}:${val}`);
  return ["Name            ID", ...lines, ""].join("\n");
}

/** /proc/net/netlink with these sockets of the connector, and some that are none. */
export function busList(
  sockets: readonly (readonly [port: number, groups: number, drops?: number, inode?: number])[],
): string {
  const row = (protocol: number, port: number, groups: number, drops: number, inode: number): string =>
    `000000009cf90f23 ${String(protocol).padEnd(3)} ${String(port).padEnd(10)} ` +
    `${(groups >>> 0).toString(16).padStart(8, "0")} 768      0        0     2        ${
      String(drops).padEnd(8)
    } ${inode}       `;
  const head = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode";
  const lines = sockets.map(([port, groups, drops = 0, inode = 1000 + port]) =>
    row(11, port, groups, drops, inode)
  );
  return [head, row(0, 0, 0, 0, 4), row(15, 77, 0xffff_ffff, 0, 5), ...lines, ""].join("\n");
}

/** Lets everything happen that waits for nothing but a turn of the event loop. */
export async function settle(): Promise<void> {
  for (let yieldToEventLoop = 0; yieldToEventLoop < 10; yieldToEventLoop++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Bytes from numbers. */
export function bytes(...values: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values);
}

/** A signal, and how many listeners it has. */
export function countedSignal(): { readonly signal: AbortSignal; readonly listeners: () => number } {
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  const counted = {
    addEventListener: (...args: Parameters<typeof add>) => {
      listeners.add(args[1]);
      add(...args);
    },
    removeEventListener: (...args: Parameters<typeof remove>) => {
      listeners.delete(args[1]);
      remove(...args);
    },
  };
  return { signal: Object.assign(signal, counted), listeners: () => listeners.size };
}
