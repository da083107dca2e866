/** The two ways in which a call fails on Convex's wire. */

/** The system refuses: an HTTP status with {"code", "message"}. */
export class SystemError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The function's fault or the caller's: HTTP 200 with {"status": "error"}. */
export class FunctionError extends Error {}

/** A ConvexError carries data, also one of another copy of convex/values. */
export const isConvexError = (error) => error?.data !== undefined && !(error instanceof FunctionError);
