/** The component, as `components.renderSidecar` of your generated api, but typed before that is generated. */
import { componentsGeneric } from "convex/server";
import type { ComponentApi } from "../renderSidecar/_generated/component";

export const component = componentsGeneric()["renderSidecar"] as unknown as ComponentApi<"renderSidecar">;
