/** The contract's names: `assets:byEntity` is `sidecar/assets:byEntity`. This file may go where its name is wanted. */
export { accessUrls, byEntity, chunks } from "./sidecar/assets";
