/** Columns by which programs are counted: the place is their number in `tally`. */
export const TALLIED: readonly string[] = ["comm", "uid", "parent_comm", "cgroup"];
/** How long programs are counted together, in microseconds. */
export const TALLY_US = 3_600_000_000;
/** What stands for NULL. */
export const TALLY_NULL = -1;

/**
 * How many programs began in each hour, by each of the columns: to count ten million entries of an index takes seconds.
 * Triggers keep it, so that nobody who writes or removes rows can forget to. A change of a row is rare.
 */
export const TALLY: string = `
CREATE TABLE tally(
  dimension INTEGER NOT NULL, hour INTEGER NOT NULL, value INTEGER NOT NULL, host INTEGER NOT NULL,
  count INTEGER NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY(dimension, hour, value, host)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER image_added AFTER INSERT ON image BEGIN
  ${countUp("new")}
END;
CREATE TRIGGER image_removed AFTER DELETE ON image BEGIN
  ${countDown("old")}
END;
CREATE TRIGGER image_changed AFTER UPDATE OF ${TALLIED.join()}, status ON image
WHEN ${TALLIED.map((column) => `old.${column} IS NOT new.${column}`).join(" OR ")}
  OR ${failed("old")} <> ${failed("new")}
BEGIN
  ${countDown("old")}
  ${countUp("new")}
END;
`;

function countUp(row: string): string {
  return TALLIED.map((_, dimension) =>
    `INSERT INTO tally VALUES (${keys(row, dimension).join()}, 1, ${failed(row)})
     ON CONFLICT DO UPDATE SET count = count + 1, failed = failed + excluded.failed;`
  ).join("\n  ");
}

function countDown(row: string): string {
  return TALLIED.map((_, dimension) => {
    const where = `WHERE (dimension, hour, value, host) = (${keys(row, dimension).join()})`;
    return `UPDATE tally SET count = count - 1, failed = failed - ${failed(row)} ${where};
     DELETE FROM tally ${where} AND count = 0;`;
  }).join("\n  ");
}

function keys(row: string, dimension: number): readonly (string | number)[] {
  const value = `ifnull(${row}.${TALLIED[dimension]}, ${TALLY_NULL})`;
  return [dimension, `${row}.start_us / ${TALLY_US}`, value, `${row}.host`];
}

function failed(row: string): string {
  return `ifnull(${row}.status <> 0, 0)`;
}
