// Tries what wants a privilege, and says what came of each: "ok", or the error's code and message.

import { openConnector, SyscallError, watchIdentifiers } from "../../../mod.ts";
import { randomId, say } from "../kernel.ts";

const id = randomId(21);
const bus = await openConnector();

function attempt(run: () => unknown): { code: string; message: string } {
  try {
    run();
    return { code: "ok", message: "" };
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return { code: error.code, message: error.message };
  }
}

const watch = await watchIdentifiers();
const first = await watch.next();
watch.close();
say({
  odd: attempt(() => bus.join(21)),
  even: attempt(() => bus.join(22)),
  toProgram: attempt(() => bus.send(id, new Uint8Array(), { port: Number(process.argv[2]) })),
  toGroup: attempt(() => bus.send(id, new Uint8Array(), { group: 21 })),
  toKernel: attempt(() => bus.send({ idx: 1, val: 1 }, new Uint8Array(2), { port: 0 })),
  agentsUnseen: watch.agentsUnseen?.message,
  firstIdentifier: first.value?.name,
});
process.exit(0);
