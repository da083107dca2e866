/** The contract's names: `scenes:bySession` is `sidecar/scenes:bySession`. This file may go where its name is wanted. */
export { bySession, get, remove, sceneHistory } from "./sidecar/scenes";
