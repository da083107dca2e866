/** A lesson's scenes in order, as they are rendered. */
import { Authenticated, AuthLoading, Unauthenticated } from "convex/react";
import { useEffect, useState, type ReactElement } from "react";
import { ScenePlayer, useAccessUrls, useSceneChunks, useSessionScenes, type PlayerState, type Scene } from "./sidecar";
import "./style.css";

type Lesson = { sessionId: string; first: number };

const WORDS: Record<PlayerState, string> = {
  pending: "not drawn yet",
  uploading: "being drawn",
  playing: "",
  paused: "click to go on",
  stalled: "the renderer has stopped",
  denied: "not yours to see",
  error: "this does not play",
  ended: "the end",
};

export function App(lesson: Lesson): ReactElement {
  return (
    <main>
      <AuthLoading>
        <p>Signing in.</p>
      </AuthLoading>
      <Unauthenticated>
        <p>Sign in to see the lesson.</p>
      </Unauthenticated>
      <Authenticated>{lesson.sessionId === "" ? <Question /> : <Scenes {...lesson} />}</Authenticated>
    </main>
  );
}

/** Where nobody says which lesson: a form, whose answer is in the page's address. */
function Question(): ReactElement {
  return (
    <form>
      <label>
        session <input name="session" placeholder="project/session" required />
      </label>
      <label>
        number of the first chunk <input name="first" type="number" min="0" defaultValue="0" />
      </label>
      <button>show</button>
    </form>
  );
}

function Scenes({ sessionId, first }: Lesson): ReactElement {
  const { results: scenes, status, loadMore } = useSessionScenes({ sessionId });
  const [chosen, choose] = useState<string | null>(null);
  const [ended, setEnded] = useState<string | null>(null);
  const shown = chosen ?? scenes[0]?.sceneId;
  const after = scenes[scenes.findIndex(({ sceneId }) => sceneId === shown) + 1]?.sceneId;
  useEffect(() => {
    if (ended === shown && after !== undefined) choose(after); // also one that comes only now
  }, [ended, shown, after]);
  return (
    <>
      <header>
        <h1>{sessionId}</h1>
        <p>{scenes.length === 0 ? "The first scene is awaited." : `${scenes.length} scenes so far.`}</p>
      </header>
      {shown !== undefined && (
        <ScenePlayer
          className="player"
          sessionId={sessionId}
          sceneId={shown}
          first={first}
          muted
          onState={(state) => {
            if (state === "ended") setEnded(shown);
          }}
        >
          {(state) => <span className="state">{WORDS[state]}</span>}
        </ScenePlayer>
      )}
      <nav>
        {scenes.map((scene) => (
          <SceneCard
            key={scene.sceneId}
            scene={scene}
            first={first}
            isShown={scene.sceneId === shown}
            onChoose={() => {
              choose(scene.sceneId);
            }}
          />
        ))}
        {status === "CanLoadMore" && (
          <button
            onClick={() => {
              loadMore(50);
            }}
          >
            more
          </button>
        )}
      </nav>
    </>
  );
}

type SceneCardProps = { scene: Scene; first: number; isShown: boolean; onChoose: () => void };

function SceneCard({ scene, first, isShown, onChoose }: SceneCardProps): ReactElement {
  const { sessionId, sceneId, thumbnailAsset, assetsStatus, stalledSince } = scene;
  const { chunks = [], expected } = useSceneChunks({ sessionId, sceneId, first }) ?? {};
  const { urls } = useAccessUrls(thumbnailAsset === undefined ? [] : [thumbnailAsset]);
  const url = urls.get(thumbnailAsset?.assetId ?? "");
  return (
    <button className={isShown ? "card shown" : "card"} onClick={onChoose}>
      {url ? <img src={url} alt="" /> : <span className="blank" />}
      <b>{sceneId}</b>
      <small>
        {chunks.length} of {expected ?? "?"} chunks, {stalledSince === undefined ? assetsStatus : "stalled"}
      </small>
    </button>
  );
}
