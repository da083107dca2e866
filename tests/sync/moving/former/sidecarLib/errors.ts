/** Failures of a whole call. The sidecar decides by `data.code` alone; the message is for its operator. */
import { ConvexError } from "convex/values";

export type FailureCode =
  | "UNAUTHENTICATED"
  | "FORBIDDEN"
  | "FENCED"
  | "UNREGISTERED"
  | "BATCH_TOO_LARGE"
  | "TOO_MANY"
  | "INVALID";

/** Throws; nothing of the call is committed. */
export function fail(code: FailureCode, message: string): never {
  throw new ConvexError({ code, message, retryable: false });
}
