// The kernels that can be booted: a name for the command line and where Debian keeps the packages.

export interface Kernel {
  readonly label: string;
  readonly archive: "main" | "security";
  readonly suite: string;
  /** The meta package that names today's version, or a pattern for versions that no meta package names, less "-amd64". */
  readonly image: string | RegExp;
  /** Whether Debian has headers for it that the compilers of the day accept. */
  readonly modules: "required" | "optional";
}

export const KERNELS: readonly Kernel[] = [
  {
    label: "5.10",
    archive: "security",
    suite: "bullseye-security",
    image: "linux-image",
    modules: "required",
  },
  {
    label: "6.1",
    archive: "security",
    suite: "bookworm-security",
    image: "linux-image",
    modules: "required",
  },
  {
    label: "6.12",
    archive: "security",
    suite: "bookworm-security",
    image: "linux-image-6.12",
    modules: "required",
  },
  {
    label: "6.18",
    archive: "main",
    suite: "trixie-backports",
    image: /^linux-image-6\.18[.\d]*\+deb13/,
    modules: "optional",
  },
  {
    label: "newest",
    archive: "main",
    suite: "trixie-backports",
    image: "linux-image",
    modules: "optional",
  },
];

/** Modules without which the guest cannot read the host's root; built into some kernels. */
export const BOOT_MODULES: readonly string[] = ["virtio_pci", "9p", "9pnet_virtio"];

/** Modules laid ready for the tests; none is loaded before a test asks for it. */
export const TEST_MODULES: readonly string[] = [
  "wire",
  "ds2482",
  "w1_therm",
  "w1_smem",
  "i2c_stub",
  "i2c_dev",
  "dm_mod",
  "dm_log",
  "dm_region_hash",
  "dm_mirror",
  "dm_log_userspace",
  "brd",
  "virtio_blk",
  "crc32c_generic",
  "ext4",
  "loop",
  "uvesafb",
];
