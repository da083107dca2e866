/**
 * What a transaction has written and scheduled, as far as it commits: a mutation that another one calls,
 * in the same component or in another, is a transaction within it, and leaves nothing but its reads when it
 * fails. Listens to convex-test's transactions, of which an action begins one for each mutation.
 */

/** `traceOf()` is that of the running function; `committed(trace)` is told at the outermost commit. */
export function followTransactions(TransactionManager, traceOf, committed) {
  const prototype = TransactionManager.prototype;
  const { begin, commit, rollback } = prototype;
  if (![begin, commit, rollback].every(Boolean)) throw new Error("convex-test has changed: see transactions.mjs");

  prototype.begin = async function (...args) {
    await begin.apply(this, args);
    const trace = traceOf();
    trace?.marks.push({ writes: trace.writes.length, scheduled: trace.scheduled.length, cancelled: trace.cancelled.length });
  };

  prototype.commit = function (isNested) {
    const result = commit.call(this, isNested);
    const trace = traceOf();
    trace?.marks.pop();
    if (trace && !isNested) {
      committed(trace);
      empty(trace, { writes: 0, scheduled: 0, cancelled: 0 });
    }
    return result;
  };

  prototype.rollback = function (isNested) {
    rollback.call(this, isNested);
    const trace = traceOf();
    if (trace && trace.marks.length > 0) empty(trace, trace.marks.pop());
  };
}

function empty(trace, mark) {
  for (const [what, length] of Object.entries(mark)) trace[what].length = length;
}
