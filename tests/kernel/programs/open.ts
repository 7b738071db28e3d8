/** Opens a watch and prints the result as one line of JSON. */
import { type UnsupportedError, watchProcesses } from "../../../mod.ts";

try {
  const events = await watchProcesses({ events: ["exec"] });
  console.log(JSON.stringify({ stats: events.stats() }));
  events.close();
} catch (error) {
  const { name, message, reason, code } = error as UnsupportedError & { code?: string };
  console.log(JSON.stringify({ name, message, reason, code }));
}
