// One kernel in the cache: release, vmlinux, modules (decompressed, with their dependencies), headers.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, hostArchitecture } from "./architectures.ts";
import { cached } from "./cache.ts";
import { BOOT_MODULES, type Kernel, TEST_MODULES } from "./kernels.ts";
import { findModules, moduleDepends, readModule } from "./modules.ts";
import { type Apt, dependencies, hasPackage, packagesLike, suiteApt, unpack } from "./packages.ts";
import { RunnerError } from "./programs.ts";

export interface KernelFiles {
  readonly release: string;
  readonly architecture: Architecture;
  /** What QEMU boots. */
  readonly vmlinux: string;
  readonly moduleFolder: string;
  readonly depends: ReadonlyMap<string, readonly string[]>;
  /** Where the header packages were unpacked, or undefined where Debian has none any more. */
  readonly headers: string | undefined;
}

/** From the cache, or from Debian where the cache has none or `renew` asks for today's version. */
export function kernelFiles(kernel: Kernel, architecture: Architecture, renew: boolean): KernelFiles {
  // an entry holds the modules that were wanted when it was made
  const wanted = createHash("sha256").update([...BOOT_MODULES, ...TEST_MODULES].join()).digest("hex").slice(
    0,
    8,
  );
  const folder = cached(
    `kernels/${systemLabel(kernel, architecture)}-${wanted}`,
    (temporary) => fetchKernel(kernel, architecture, temporary),
    renew,
  );
  const depends = new Map<string, readonly string[]>();
  for (const line of readFileSync(join(folder, "depends"), "utf8").trim().split("\n")) {
    const [name = "", needs = ""] = line.split(":");
    depends.set(name, needs.split(" ").filter((need) => need !== ""));
  }
  const headers = join(folder, "headers");
  return {
    release: readFileSync(join(folder, "release"), "utf8").trim(),
    architecture,
    vmlinux: join(folder, "vmlinux"),
    moduleFolder: join(folder, "modules"),
    depends,
    headers: existsSync(headers) ? headers : undefined,
  };
}

/** "6.12", or "6.12-arm64" for a processor that is not this machine's. */
export function systemLabel(kernel: Kernel, architecture: Architecture): string {
  return architecture === hostArchitecture() ? kernel.label : `${kernel.label}-${architecture.name}`;
}

function fetchKernel(kernel: Kernel, architecture: Architecture, folder: string): void {
  const work = join(folder, "work");
  const host = hostArchitecture();
  const architectures = [...new Set([architecture.debian, host.debian])];
  const apt = suiteApt(join(work, "apt"), kernel.archive, kernel.suite, architectures);
  const image = imagePackage(apt, kernel, architecture);
  const release = image.slice("linux-image-".length);
  console.log(`${kernel.label}: fetching ${image} from ${kernel.suite}`);
  // from 7.0 on linux-image is an empty shell around these two
  const parts = dependencies(apt, image).filter((name) => /^linux-(binary|modules)-/.test(name));
  const root = join(work, "root");
  unpack(apt, [image, ...parts], join(work, "image"), root);
  writeFileSync(join(folder, "release"), `${release}\n`);
  writeFileSync(join(folder, "vmlinux"), architecture.bootable(readFileSync(kernelImage(root, release))));
  copyModules(moduleTree(root, release), folder);
  const headerPackage = `linux-headers-${release}`;
  if (hasPackage(apt, headerPackage)) {
    const more = dependencies(apt, headerPackage).filter((name) => /^linux-(headers|kbuild)-/.test(name))
      // its programs run here
      .map((name) => name.startsWith("linux-kbuild-") ? `${name}:${host.debian}` : name);
    const headers = join(folder, "headers");
    unpack(apt, [headerPackage, ...more], join(work, "headers"), headers);
    makeRelocatable(join(headers, "usr/src", headerPackage, "Makefile"));
  }
  rmSync(work, { recursive: true });
}

/** The headers of a package that is not installed are not under /usr/src: what lies side by side stays so. */
function makeRelocatable(makefile: string): void {
  writeFileSync(makefile, readFileSync(makefile, "utf8").replaceAll("/usr/src/", "../"));
}

function imagePackage(apt: Apt, kernel: Kernel, { debian }: Architecture): string {
  const name = kernel.image instanceof RegExp
    ? packagesLike(apt, new RegExp(`${kernel.image.source}-${debian}$`)).at(-1)
    : dependencies(apt, `${kernel.image}-${debian}`).find((item) => item.startsWith("linux-image-"));
  if (name === undefined) {
    throw new RunnerError(
      `Cannot fetch kernel ${kernel.label}: the suite ${kernel.suite} has no package ${kernel.image} any more`,
    );
  }
  return name;
}

function kernelImage(root: string, release: string): string {
  const places = [
    `boot/vmlinuz-${release}`,
    `usr/lib/modules/${release}/vmlinuz`,
    `lib/modules/${release}/vmlinuz`,
  ];
  const found = places.map((place) => join(root, place)).find((path) => existsSync(path));
  if (found === undefined) {
    throw new RunnerError(
      `Cannot use kernel ${release}: its packages hold no kernel at ${places.join(" or ")}`,
    );
  }
  return found;
}

function moduleTree(root: string, release: string): string {
  const lib = join(root, "lib/modules", release);
  return existsSync(join(lib, "kernel")) ? lib : join(root, "usr/lib/modules", release);
}

/** Copies the wanted modules and what they need; a name that is built into the kernel has no file. */
function copyModules(tree: string, folder: string): void {
  const files = findModules(tree);
  const builtIn = new Set(builtInModules(tree));
  const target = join(folder, "modules");
  mkdirSync(target);
  const depends = new Map<string, readonly string[]>();
  const visit = (name: string): void => {
    const file = files.get(name);
    if (file === undefined) {
      if (TEST_MODULES.includes(name) && !builtIn.has(name)) {
        console.log(`  this kernel has no module ${name}`);
      }
      return;
    }
    if (depends.has(name)) return;
    const bytes = readModule(file);
    depends.set(name, moduleDepends(bytes));
    writeFileSync(join(target, `${name}.ko`), bytes);
    for (const need of depends.get(name) ?? []) visit(need);
  };
  for (const name of [...BOOT_MODULES, ...TEST_MODULES]) visit(name);
  if (readdirSync(target).length === 0) {
    throw new RunnerError(`Cannot use the kernel: no modules found in its packages`);
  }
  const lines = [...depends].map(([name, needs]) => `${name}: ${needs.join(" ")}`.trimEnd());
  writeFileSync(join(folder, "depends"), `${lines.join("\n")}\n`);
}

function builtInModules(tree: string): readonly string[] {
  const path = join(tree, "modules.builtin");
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").trim().split("\n").map((line) =>
    (line.split("/").at(-1) ?? "").replace(/\.ko$/, "").replaceAll("-", "_")
  );
}
