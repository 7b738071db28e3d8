/**
 * Calls a callback where nobody could catch what it throws, as from a timer: that goes to standard error, and does not end
 * the program. Returns whether it has thrown nothing.
 *
 * @param name What the caller knows it by.
 */
export function callSafely(name: string, callback: () => unknown): boolean {
  const report = (error: unknown): void => console.error(`kernel-connector: ${name} failed:`, error);
  try {
    const result = callback();
    if (result instanceof Promise) result.catch(report);
    return true;
  } catch (error) {
    report(error);
    return false;
  }
}
