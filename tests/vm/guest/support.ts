// Shared by the tests in the guest: kernel modules, the connector's list of identifiers, and the setup of drivers.
// Loading is always asynchronous: some drivers exchange messages with a server in this process while they load.

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const BUSYBOX = "/run/tools/busybox";
const MODULES = "/run/mods";
const execute = promisify(execFile);

/** The kernel's version as "6.1", or undefined outside the virtual machine. */
export const vmKernel: string | undefined = process.env.KERNEL_CONNECTOR_VM;

/** For the `skip` option of a test that needs the virtual machine and these modules. */
export function skipWithout(...modules: readonly string[]): string | false {
  if (vmKernel === undefined) return "runs in the virtual machine only";
  const missing = modules.filter((name) => !hasModule(name));
  return missing.length === 0 ? false : `no module ${missing.join(", ")} for this kernel`;
}

/** Whether this module can be loaded. dm-mod and dm_mod are the same. */
function hasModule(name: string): boolean {
  return existsSync(modulePath(name));
}

export function loaded(name: string): boolean {
  // a kernel without modules has no such file
  if (!existsSync("/proc/modules")) return false;
  const lines = readFileSync("/proc/modules", "utf8").split("\n");
  return lines.some((line) => line.startsWith(`${kernelName(name)} `));
}

export type Parameters = Readonly<Record<string, string | number>>;

/** Loads one module; fails if it is already loaded, or if a dependency is missing. */
export async function insmod(name: string, parameters: Parameters = {}): Promise<void> {
  const settings = Object.entries(parameters).map(([key, value]) => `${key}=${value}`);
  await runProgram(BUSYBOX, ["insmod", modulePath(name), ...settings]);
}

async function rmmod(name: string): Promise<void> {
  await runProgram(BUSYBOX, ["rmmod", kernelName(name)]);
}

/** Loads modules that are not loaded yet, each after its dependencies. */
export async function load(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    if (loaded(name)) continue;
    await load(...dependencies(name));
    await insmod(name);
  }
}

/** Unloads those of the modules that are loaded, in the order given; waits for a module that is still in use. */
export async function unload(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    for (let attempt = 1; loaded(name); attempt++) {
      try {
        await rmmod(name);
      } catch (error) {
        if (attempt === 20) throw error;
        await sleep(250);
      }
    }
  }
}

/** The identifiers that the kernel serves, as "20:1" to the name that their callback has. */
export function connectorIds(): ReadonlyMap<string, string> {
  const rows = readFileSync("/proc/net/connector", "utf8").trim().split("\n").slice(1);
  return new Map(rows.map((row) => {
    const [name = "", id = ""] = row.trim().split(/\s+/);
    return [id, name];
  }));
}

/** Waits until `condition` holds; emulation is slow, so the limit is generous. */
export async function eventually(what: string, condition: () => boolean, timeoutMs = 30_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(50);
  }
}

export async function runProgram(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await execute(program, [...args], { timeout: 240_000 })).stdout;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Error(`${program} ${args.join(" ")} failed: ${stderr?.trim() || message}`, { cause: error });
  }
}

export async function dmsetup(...args: readonly string[]): Promise<string> {
  return await runProgram("/usr/sbin/dmsetup", args);
}

/** Slaves of the simulated 1-wire bus, by their names in the kernel. */
export const SOFT_W1_SLAVES = ["28-0000deadbe01", "28-0000deadbe02", "01-000012345678"] as const;

/**
 * The 1-wire bus in software (see module/w1_soft.c), with the slaves that `present` names found and their
 * drivers bound. wire searches every second and forgets a slave after one miss: an alarm search is a miss for
 * every slave without an alarm, which then is gone until the next search.
 */
export async function setUpSoftW1(parameters: Parameters = {}): Promise<void> {
  await insmod("wire", { timeout: 1, slave_ttl: 1 });
  await load("w1_therm");
  await insmod("w1_soft", parameters);
  const present = Number(parameters.present ?? 7);
  const expected = SOFT_W1_SLAVES.filter((_, index) => (present >> index & 1) === 1);
  await eventually(`the slaves ${expected.join(", ")}`, () => expected.every(softW1SlaveReady));
}

function softW1SlaveReady(name: string): boolean {
  // a thermometer gets its attributes from its driver, a moment after it was found
  return existsSync(`/sys/bus/w1/devices/${name}/${name.startsWith("28-") ? "w1_slave" : "name"}`);
}

export async function tearDownSoftW1(): Promise<void> {
  await unload("w1_soft", "w1_therm", "wire");
}

export function setSoftW1(parameter: "temp1" | "temp2" | "present", value: number): void {
  writeFileSync(`/sys/module/w1_soft/parameters/${parameter}`, `${value}\n`);
}

const DS2482_CHIP = "0x18";
/** Registers that make i2c-stub look like a DS2482 with an empty bus: status, triplet, data. */
const DS2482_REGISTERS: readonly string[] = ["0xb4", "0x02", "0x79", "0x40", "0xe2", "0x5a"];

/**
 * The stock ds2482 driver on a chip that is a table of registers (i2c-stub): a master whose bus answers every
 * search with the id 0 and every read with 0x5a. Returns the number of the i2c bus.
 */
export async function setUpDs2482(): Promise<number> {
  await load("wire", "i2c_dev", "ds2482");
  await insmod("i2c_stub", { chip_addr: DS2482_CHIP });
  const bus = i2cStubBus();
  const setRegisters = async (...more: readonly string[]): Promise<void> => {
    await runProgram("/run/tools/i2c_set", [`${bus}`, DS2482_CHIP, ...DS2482_REGISTERS, ...more]);
  };
  await eventually("the device node of the i2c bus", () => existsSync(`/dev/i2c-${bus}`));
  // what the driver reads back after its reset command; a data byte afterwards
  await setRegisters("0xf0", "0x18");
  writeFileSync(`/sys/bus/i2c/devices/i2c-${bus}/new_device`, `ds2482 ${DS2482_CHIP}\n`);
  await setRegisters();
  return bus;
}

export async function tearDownDs2482(bus: number): Promise<void> {
  writeFileSync(`/sys/bus/i2c/devices/i2c-${bus}/delete_device`, `${DS2482_CHIP}\n`);
  await unload("ds2482", "i2c_stub", "i2c_dev", "wire");
}

function i2cStubBus(): number {
  for (const name of readdirSync("/sys/bus/i2c/devices")) {
    if (!name.startsWith("i2c-")) continue;
    const label = readFileSync(`/sys/bus/i2c/devices/${name}/name`, "utf8");
    if (label.startsWith("SMBus stub")) return Number(name.slice("i2c-".length));
  }
  throw new Error("Cannot find the bus of i2c-stub under /sys/bus/i2c/devices");
}

const MIRROR_MODULES: readonly string[] = [
  "dm_log_userspace",
  "dm_mirror",
  "dm_region_hash",
  "dm_log",
  "dm_mod",
];

/** Ram disks /dev/ram0 … and device-mapper's mirror target with its user space log. */
export async function setUpMirror(disks = 2, kibibytes = 16_384): Promise<readonly string[]> {
  await insmod("brd", { rd_nr: disks, rd_size: kibibytes });
  await load(...MIRROR_MODULES);
  const nodes = Array.from({ length: disks }, (_, index) => `/dev/ram${index}`);
  await eventually(
    "the ram disks and device-mapper's node",
    () => [...nodes, "/dev/mapper/control"].every((node) => existsSync(node)),
  );
  return nodes;
}

/** Every mapped device must be removed before. */
export async function tearDownMirror(): Promise<void> {
  await unload(...MIRROR_MODULES, "brd");
}

/** The address of the VGA memory: a VBE implementation must return it as the framebuffer's address. */
export function vgaMemory(): bigint {
  for (const device of readdirSync("/sys/bus/pci/devices")) {
    const folder = `/sys/bus/pci/devices/${device}`;
    if (!readFileSync(`${folder}/class`, "utf8").startsWith("0x0300")) continue;
    return BigInt(readFileSync(`${folder}/resource`, "utf8").split(" ")[0] ?? "0");
  }
  throw new Error("Cannot find a VGA device under /sys/bus/pci/devices");
}

/** The helper must have joined group 4 before: the driver sends requests while it loads. */
export async function setUpUvesafb(): Promise<void> {
  await insmod("uvesafb", { mode_option: "640x480-16", scroll: "redraw" });
}

/** First detaches the framebuffer from the text console, which keeps the module in use. */
export async function tearDownUvesafb(): Promise<void> {
  for (const console of readdirSync("/sys/class/vtconsole")) {
    const folder = `/sys/class/vtconsole/${console}`;
    if (readFileSync(`${folder}/name`, "utf8").includes("frame buffer")) {
      writeFileSync(`${folder}/bind`, "0\n");
    }
  }
  await unload("uvesafb");
}

function dependencies(name: string): readonly string[] {
  const wanted = `${kernelName(name)}:`;
  const line = readFileSync(`${MODULES}/depends`, "utf8").split("\n").find((text) => text.startsWith(wanted));
  return line === undefined ? [] : line.slice(wanted.length).split(" ").filter((need) => need !== "");
}

function modulePath(name: string): string {
  return `${MODULES}/${kernelName(name)}.ko`;
}

function kernelName(name: string): string {
  return name.replaceAll("-", "_");
}
