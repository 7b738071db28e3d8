/** Opens a watch and ends in one of many ways. Its LISTEN carries a number that the test knows. */
import process from "node:process";
import { openConnector, watchProcesses } from "../../../mod.ts";

const [way, ack] = [process.argv[2]!, Number(process.argv[3])];
const random = Math.random;
Math.random = () => ack / 2 ** 32;
const events = await watchProcesses({ events: ["fork", "exec", "exit", "comm"] });
Math.random = random;

async function readSome(): Promise<void> {
  for await (const event of events) if (event.type === "exec") return;
}

/** Keeps reading while the program ends for another reason. */
async function readOn(): Promise<void> {
  for await (const _ of events);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (way === "signal") process.on("SIGTERM", () => events.close());
if (way === "stays alive") process.on("SIGTERM", () => process.exit(9));
console.log("ready");
switch (way) {
  case "break":
    await readSome();
    break;
  case "throw":
    try {
      for await (const event of events) throw new Error(event.type);
    } catch {
      break;
    }
    break;
  case "using": {
    await using _ = events;
    break;
  }
  case "exit":
    void readOn();
    setTimeout(() => process.exit(7), 50);
    break;
  case "exit unread":
    setTimeout(() => process.exit(7), 50);
    break;
  case "uncaught":
    void readOn();
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 50);
    break;
  case "rejection":
    void readOn();
    setTimeout(() => Promise.reject(new Error("nobody catches this")), 50);
    break;
  case "signal":
    await readOn();
    break;
  case "unref":
    await sleep(50); // by now the thread is waiting
    events.unref();
    break;
  case "unref read":
    events.unref().ref().unref();
    void readOn();
    await sleep(50);
    break;
  case "connector unref": {
    events.close();
    const connector = await openConnector();
    connector.addCallback({ idx: 29, val: ack }, "nobody calls", () => {});
    await sleep(50);
    connector.unref();
    break;
  }
  case "stays alive":
    break;
  default:
    throw new Error(`no such way: ${way}`);
}
