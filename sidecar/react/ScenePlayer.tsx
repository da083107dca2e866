/** A scene's chunks, each once and in order, the moment they may be played. */
import { useEffect, useRef, useState, type ReactElement, type ReactNode } from "react";
import { ClipPlayer } from "./clipPlayer";
import type { Chunk } from "./functions";
import { onWaking, useAccessUrls, usePlayedScene } from "./hooks";
import { needed, nextClip, stateOf, withAddresses, type Playing, type PlayerState } from "./sequence";

export type ScenePlayerProps = {
  sessionId: string;
  sceneId: string;
  first?: number; // the number of the first chunk, 0 unless said otherwise
  muted?: boolean; // browsers play sound after a click only
  className?: string;
  onState?: (state: PlayerState) => void;
  onChunk?: (chunk: Chunk, element: HTMLVideoElement) => void; // begins to play
  children?: (state: PlayerState) => ReactNode; // shown over the picture
};

const AHEAD = 8; // chunks that have addresses before they are played
const NOTHING = { chunks: [], playable: [], contiguous: 0, expected: null, isComplete: false };
const IDLE: Playing & { front: number } = { current: null, last: null, isPaused: false, failed: null, front: 0 };

/** Another scene is played from its beginning. A click pauses, and goes on. */
export function ScenePlayer(props: ScenePlayerProps): ReactElement {
  return <OneScene key={JSON.stringify([props.sessionId, props.sceneId])} {...props} />;
}

function OneScene(props: ScenePlayerProps): ReactElement {
  const { sessionId, sceneId, first, muted = false, className, children } = props;
  const { scene, chunks: found = NOTHING, error: refusal } = usePlayedScene({ sessionId, sceneId, first });
  const [playing, setPlaying] = useState(IDLE);
  const { urls, error, renew } = useAccessUrls(needed(found.chunks, playing.last, AHEAD));
  const [wasSeen, setWasSeen] = useState(false);
  if (scene && !wasSeen) setWasSeen(true);

  const elements = [useRef<HTMLVideoElement>(null), useRef<HTMLVideoElement>(null)] as const;
  const player = useRef<ClipPlayer>(null);
  const latest = useRef({ props, chunks: found.chunks, renew });
  useEffect(() => {
    latest.current = { props, chunks: found.chunks, renew };
  });
  useEffect(() => {
    const [one, other] = [elements[0].current, elements[1].current];
    if (one === null || other === null) return;
    const clips = new ClipPlayer([one, other], {
      onChange: () => {
        setPlaying({ ...clips.playing, front: clips.front });
      },
      onStart: ({ id }, element) => {
        const chunk = latest.current.chunks.find((one) => one.id === id);
        if (chunk) latest.current.props.onChunk?.(chunk, element as HTMLVideoElement);
      },
      onRefused: ({ id }) => {
        latest.current.renew(id);
      },
      isSeen: () => document.visibilityState === "visible",
    });
    player.current = clips;
    const stop = onWaking(() => {
      if (document.visibilityState === "visible") clips.wake(); // what is told to play unseen may stand still
    });
    return () => {
      stop();
      clips.close();
    };
  }, []);
  useEffect(() => {
    player.current?.offer(withAddresses(found.playable, player.current.playing.last, urls));
  }, [found, urls]);

  const next = nextClip(found.playable, playing.last);
  const [hasAddressError, hasQueryError] = [error !== null, refusal !== null];
  const state = stateOf({ scene, wasSeen, chunks: found, next, urls, hasAddressError, hasQueryError, playing });
  useEffect(() => {
    if (refusal !== null) console.error(refusal); // Convex's client does so for actions alone
  }, [refusal?.message]);
  useEffect(() => {
    latest.current.props.onState?.(state);
  }, [state]);
  const toggle = () => player.current?.toggle();
  return (
    <div className={className} data-state={state} style={{ display: "grid" }} onClick={toggle}>
      {elements.map((ref, i) => (
        <video
          key={i}
          ref={ref}
          muted={muted}
          playsInline
          preload="auto"
          style={{ gridArea: "1 / 1", width: "100%", opacity: playing.front === i ? 1 : 0 }}
        />
      ))}
      {children && <div style={{ gridArea: "1 / 1", pointerEvents: "none" }}>{children(state)}</div>}
    </div>
  );
}
