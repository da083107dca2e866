/** A page of one player that writes down what it sees, for the tests in a browser. */
import { ConvexProviderWithAuth, ConvexReactClient, useConvexAuth } from "convex/react";
import { StrictMode, useEffect, useRef, type ReactElement } from "react";
import { createRoot } from "react-dom/client";
import { ScenePlayer, useSceneChunks, type PlayerState } from "../react";

type Played = { name: string; version: number; shownAt: number | null };
type Seen = { played: Played[]; states: PlayerState[]; arrived: { name: string; version: number; at: number }[] };
declare global {
  interface Window {
    seen: Seen;
  }
}

const asked = new URLSearchParams(location.search);
const given = (name: string): string => asked.get(name) ?? "";
const scene = { sessionId: given("session"), sceneId: given("scene") };
const seen: Seen = (window.seen = { played: [], states: [], arrived: [] });
const now = () => performance.timeOrigin + performance.now();

/** Made once: another function at each render would sign in at each render. */
const signedIn = {
  isLoading: false,
  isAuthenticated: asked.has("token"),
  fetchAccessToken: async () => Promise.resolve(asked.get("token")),
};
const useAuth = () => signedIn;

/** Writes down each version of each chunk when it is first to be seen. */
function Arrivals(): null {
  const known = useRef(new Set<string>());
  const found = useSceneChunks(scene);
  useEffect(() => {
    for (const { id, name, version } of found?.chunks ?? []) {
      if (known.current.has(`${id} ${version}`)) continue;
      known.current.add(`${id} ${version}`);
      seen.arrived.push({ name, version, at: now() });
    }
  }, [found]);
  return null;
}

function Page(): ReactElement {
  const { isLoading } = useConvexAuth();
  if (isLoading) return <p>signing in</p>;
  return (
    <>
      <Arrivals />
      <ScenePlayer
        {...scene}
        muted
        onState={(state) => seen.states.push(state)}
        onChunk={({ name, version }, element) => {
          const played: Played = { name, version, shownAt: null };
          seen.played.push(played);
          element.requestVideoFrameCallback(() => {
            played.shownAt = now();
          });
        }}
      >
        {(state) => <p>{state}</p>}
      </ScenePlayer>
    </>
  );
}

const client = new ConvexReactClient(given("convex"));
const root = document.getElementById("root");
const page = (
  <ConvexProviderWithAuth client={client} useAuth={useAuth}>
    <Page />
  </ConvexProviderWithAuth>
);
if (root !== null) createRoot(root).render(asked.has("strict") ? <StrictMode>{page}</StrictMode> : page);
