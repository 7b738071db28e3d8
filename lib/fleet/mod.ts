/** What the commands load only when they ship or collect. */
export { openCollector } from "./collect.ts";
export { ship } from "./ship.ts";
