/**
 * Plays whole files one behind the other in two video elements: one plays while the other loads what comes next.
 * Chunks are files of their own (MP4 with or without fragments, WebM): Media Source Extensions take fragmented ones
 * alone, and would need their codecs. No React in here.
 */
import { nextClip, type Clip, type Playing } from "./sequence";
import { remedy } from "./standstill";

/** What is used of an HTMLVideoElement. */
export type Video = Pick<
  HTMLVideoElement,
  | "src" | "currentTime" | "buffered" | "readyState" | "paused" | "ended" | "play" | "pause" | "load"
  | "removeAttribute" | "addEventListener" | "removeEventListener"
>;
export type AddressedClip = Clip & { url: string };
export type Hooks = {
  onChange: () => void;
  onStart: (clip: Clip, element: Video) => void;
  onRefused: (clip: Clip) => void; // its address did not open: a new one is of use
  isSeen: () => boolean; // what nobody sees may stand still
};

const LOOK_MS = 1000;
const RETRIES_MS = [250, 1000, 4000];
type Loaded = { clip: AddressedClip; element: Video };

export class ClipPlayer {
  front = 0; // the element to be seen
  #playing: Playing = { current: null, last: null, isPaused: false, failed: null };
  #playable: readonly AddressedClip[] = [];
  #current: Loaded | null = null;
  #loaded: Loaded | null = null; // waits for its turn
  #hasStarted = false;
  #isHeld = false; // by the viewer
  #attempts = 0;
  #failedAt = 0; // seconds of the clip
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watching: ReturnType<typeof setInterval> | undefined;
  #progress = ""; // of the current clip, when it was looked at last
  #stillLooks = 0; // at which that was the same, although it ought to play
  #stop: () => void;

  constructor(
    private readonly elements: readonly [Video, Video],
    private readonly hooks: Hooks,
  ) {
    const stops = elements.flatMap((element) => [
      listen(element, "playing", () => { this.#started(element); }),
      listen(element, "pause", () => { this.#tell(); }),
      listen(element, "ended", () => { this.#ended(element); }),
      listen(element, "error", () => { this.#failed(element); }),
    ]);
    this.#stop = () => { for (const stop of stops) stop(); };
  }

  get playing(): Playing {
    return this.#playing;
  }

  /** What may be played, in order, as far as addresses are known. */
  offer(clips: readonly AddressedClip[]): void {
    this.#playable = clips;
    if (this.#current === null) this.#advance();
    else if (this.#hasStarted) this.#preload();
  }

  /** Pause, or go on; where the browser wanted a click, this is it. */
  toggle(): void {
    const isBroken = this.#playing.failed !== null; // its element may still say that it plays
    this.#isHeld = !isBroken && this.#current !== null && !this.#current.element.paused;
    if (this.#isHeld) this.#current?.element.pause();
    else this.wake();
  }

  /** Go on after the page was frozen, or after a failure. */
  wake = (): void => {
    if (this.#isHeld) return;
    if (this.#playing.failed !== null) {
      this.#attempts = 0;
      this.#retry();
    } else if (this.#current !== null) {
      if (this.#current.element.paused && !this.#current.element.ended) this.#play();
      this.#stillLooks = 1; // after a freeze it may say that it plays, and stand still: the next look tells
    }
  };

  /** An element may say that it plays and stand still, for want of bytes or after a freeze. */
  #look(): void {
    if (this.#current === null) return;
    const { clip, element } = this.#current;
    const ought = !element.paused && !element.ended && this.#timer === undefined && this.hooks.isSeen();
    const progress = [clip.id, clip.version, element.currentTime, bufferedSeconds(element)].join();
    const isStill = ought && this.#playing.failed === null && progress === this.#progress;
    this.#stillLooks = isStill ? this.#stillLooks + 1 : 0;
    this.#progress = progress;
    const step = remedy(this.#stillLooks, element.readyState);
    if (step === "tell again") {
      element.pause();
      this.#play();
    } else if (step === "load again") {
      this.hooks.onRefused(clip); // its address may be over
      this.#retry();
    } else if (step === "give up") {
      this.#playing = { ...this.#playing, failed: clip };
      this.#tell();
    }
  }

  close(): void {
    this.#stop();
    clearTimeout(this.#timer);
    clearInterval(this.#watching);
    for (const element of this.elements) unload(element);
  }

  #advance(): void {
    const clip = nextClip(this.#playable, this.#playing.last);
    if (clip === null) {
      this.#current = null;
      this.#tell();
      return;
    }
    const isLoaded = this.#loaded?.clip.id === clip.id && this.#loaded.clip.version === clip.version;
    this.#current = isLoaded ? this.#loaded : load(this.#idle(), clip);
    this.#loaded = null;
    this.#hasStarted = false;
    this.#attempts = this.#failedAt = 0;
    this.#playing = { ...this.#playing, last: clip };
    this.#watching ??= setInterval(() => { this.#look(); }, LOOK_MS);
    this.#play();
    this.#tell();
  }

  /** The element that is not seen: the other one shows its last picture until this one has a first. */
  #idle(): Video {
    return this.elements[this.#playing.last === null ? 0 : (1 - this.front)] ?? this.elements[0];
  }

  #play(): void {
    const playing = this.#current;
    playing?.element.play().catch(() => {
      this.#tell(); // it stays paused: the browser wants a click; a file that does not open is an "error"
    });
  }

  #started(element: Video): void {
    if (element !== this.#current?.element) return;
    const isFirst = !this.#hasStarted;
    this.#hasStarted = true;
    this.front = this.elements.indexOf(element);
    this.#playing = { ...this.#playing, failed: null };
    if (element.currentTime > this.#failedAt + 1) this.#attempts = 0;
    if (isFirst) this.hooks.onStart(this.#current.clip, element);
    this.#preload();
    this.#tell();
  }

  #ended(element: Video): void {
    if (element === this.#current?.element) this.#advance();
  }

  #preload(): void {
    const clip = nextClip(this.#playable, this.#playing.last);
    if (clip === null || (this.#loaded?.clip.id === clip.id && this.#loaded.clip.version === clip.version)) return;
    this.#loaded = load(this.#idle(), clip);
  }

  #failed(element: Video): void {
    if (element === this.#loaded?.element) {
      this.hooks.onRefused(this.#loaded.clip);
      this.#loaded = null; // loaded again when its turn comes
    } else if (element === this.#current?.element) {
      this.hooks.onRefused(this.#current.clip);
      this.#failedAt = element.currentTime;
      const wait = RETRIES_MS[this.#attempts++];
      if (wait === undefined) this.#playing = { ...this.#playing, failed: this.#current.clip };
      else this.#timer = setTimeout(() => { this.#retry(); }, wait);
      this.#tell();
    }
  }

  /** From where it was, by the newest address; a viewer who paused finds it paused. */
  #retry(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#current === null) return;
    const { clip, element } = this.#current;
    const { currentTime } = element;
    const again = this.#playable.find((one) => one.id === clip.id && one.version === clip.version) ?? clip;
    this.#current = load(element, again);
    if (currentTime > 0) element.currentTime = currentTime;
    if (!this.#isHeld) this.#play();
  }

  #tell(): void {
    const current = this.#current?.clip ?? null;
    const isPaused = this.#current !== null && this.#current.element.paused && !this.#current.element.ended;
    this.#playing = { ...this.#playing, current, isPaused };
    this.hooks.onChange();
  }
}

function load(element: Video, clip: AddressedClip): Loaded {
  element.src = clip.url;
  element.load();
  return { clip, element };
}

function bufferedSeconds({ buffered }: Video): number {
  return buffered.length === 0 ? 0 : buffered.end(buffered.length - 1);
}

function unload(element: Video): void {
  element.pause();
  element.removeAttribute("src");
  element.load();
}

function listen(element: Video, name: string, run: () => void): () => void {
  element.addEventListener(name, run);
  return () => { element.removeEventListener(name, run); };
}
