/** The rows of scheduled functions: one runs in a transaction with its row, and once cancelled it does not. */
export const JOBS = "_scheduled_functions";

/** In a transaction. */
export function setState(db, id, kind) {
  const completedTime = kind === "pending" || kind === "inProgress" ? undefined : Date.now();
  db.patch(JOBS, id, { state: { kind }, ...(completedTime && { completedTime }) });
}

/** In a transaction: true for one that is to run, whose row then has the new state. */
export function take(db, id, kind) {
  if (db.get(JOBS, id)?.state.kind !== "pending") return false;
  setState(db, id, kind);
  return true;
}
