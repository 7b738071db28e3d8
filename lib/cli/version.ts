/** The version of the package, which a test compares with its manifests. */
export const VERSION = "0.1.0";
