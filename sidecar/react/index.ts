/** React for the sidecar's scenes: hooks over its Convex functions, and a player. Peers: react and convex. */
export { ScenePlayer, type ScenePlayerProps } from "./ScenePlayer";
export { useAccessUrls, useSceneChunks, useSessionScenes } from "./hooks";
export { usePages } from "./usePages";
export type { Addresses } from "./addressBook";
export type { AccessUrl, AssetsStatus, Chunk, Scene, SceneChunks, ShownAsset } from "./functions";
export type { PlayerState } from "./sequence";
