/** The application's functions, as the `internal` that Convex generates names them. */
import { anyApi, type ApiFromModules } from "convex/server";
import type * as lessons from "./lessons";

export const own = anyApi as unknown as ApiFromModules<{ lessons: typeof lessons }>;
