/** The contract's names: `sessions:get` is `sidecar/sessions:get`. This file may go where its name is wanted. */
export { get, sessionsByProject } from "./sidecar/sessions";
