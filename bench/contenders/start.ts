/** Subscribes and ends. */
import { ready } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";

const watch = await subscribe();
ready();
await watch.close();
