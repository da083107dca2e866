"""What the demo's lesson consists of: three scenes, their pictures, words and sources. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

PROJECT = "algebra"
SESSION = "complex-numbers"
CHUNKS = 4
CHUNK_SECONDS = 2.0
FRAME = "640x360"
FRAMES_PER_SECOND = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One scene: ``source`` is a generator of ffmpeg's lavfi; ``lines`` are what the tutor says."""

    scene: str
    source: str
    lines: tuple[str, ...]


LESSON = (
    Picture(
        scene="01-introduction",
        source=f"testsrc2=size={FRAME}:rate={FRAMES_PER_SECOND}",
        lines=("What is a number?", "A point on a line.", "Or is there more", "beside the line?"),
    ),
    Picture(
        scene="02-the-plane",
        source=f"mandelbrot=size={FRAME}:rate={FRAMES_PER_SECOND}:maxiter=120:end_scale=0.05",
        lines=("Every point of a plane", "is a number as well.", "Square it, add,", "and do it again."),
    ),
    Picture(
        scene="03-iteration",
        source=f"life=size=160x90:rate={FRAMES_PER_SECOND}:mold=12:ratio=0.3:seed=7,scale={FRAME}:flags=neighbor",
        lines=("Simple rules,", "applied again and again,", "make pictures", "that nobody drew."),
    ),
)


def subtitles(lines: tuple[str, ...]) -> str:
    """Return the lines as WebVTT, each as long as a chunk."""
    cues = [f"{_stamp(i)} --> {_stamp(i + 1)}\n{line}\n" for i, line in enumerate(lines)]
    return "\n".join(["WEBVTT\n", *cues])


def program(picture: Picture) -> str:
    """Return the source code that a tutor might have written for the scene."""
    name = "".join(word.capitalize() for word in picture.scene.split("-")[1:])
    says = "\n".join(f"        self.say({line!r})" for line in picture.lines)
    return (
        f'"""Scene {picture.scene} of the lesson {SESSION}."""\n\n'
        f"from tutor import Scene\n\n\nclass {name}(Scene):\n"
        f"    picture = {picture.source!r}\n\n    def construct(self) -> None:\n{says}\n"
    )


def _stamp(chunk: int) -> str:
    minutes, seconds = divmod(chunk * CHUNK_SECONDS, 60)
    return f"00:{int(minutes):02}:{seconds:06.3f}"
