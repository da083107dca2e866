"""What playlists name: as muxers write them, and as nobody should."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.playlists import NAMES_MAX, TEXT_BYTES_MAX, Playlist, PlaylistPlace, parse

PLACE = PlaylistPlace(root="/renders", folder="p/s/c/video", scope="p/s/c")
MASTER = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="audio/en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=140800,RESOLUTION=96x54
stream_0/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="frames.m3u8"
"""
FRAGMENTS = """#EXTM3U\r
#EXT-X-MAP:URI="init.mp4"\r
#EXTINF:1.000000,\r
index0.m4s?token=1\r
#EXTINF:1.000000, a title with URI="title.m4s"\r
./sub/%C3%A4%20b.m4s#t=1\r
#EXT-X-PART:DURATION=0.3,URI="part.mp4",INDEPENDENT=YES\r
# index9.m4s
"""
TEMPLATES = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>
<SegmentTemplate timescale="10" initialization="$RepresentationID$/init.mp4"
  media='$RepresentationID$/$Number%05d$-$Time$.m4s'/>
<Representation id="video/avc1"></Representation><Representation id="a&amp;b"/>
</AdaptationSet><AdaptationSet><Representation id="9" bandwidth="5">
<SegmentTemplate media="stream$RepresentationID$-$Bandwidth$-$$.m4s"><SegmentTimeline/></SegmentTemplate>
</Representation></AdaptationSet></Period></MPD>"""
RANGES = """<MPD><BaseURL>https://cdn.example/</BaseURL><BaseURL>films/</BaseURL><Period>
<AdaptationSet><Representation id="0"><BaseURL>index-stream0.mp4</BaseURL>
<SegmentList><Initialization range="0-1" sourceURL="head.mp4"/><SegmentURL media="one.m4s" mediaRange="2-3"/>
</SegmentList></Representation></AdaptationSet>
<!-- <Representation id="1"><BaseURL>gone.mp4</BaseURL></Representation> --></Period></MPD>"""


def named(text: str, name: str, *paths: str, place: PlaylistPlace = PLACE) -> list[str]:
    """Return which of these paths a playlist names."""
    playlist = parse(text, name, place)
    return [path for path in paths if playlist.names(path)]


def below(*names: str) -> list[str]:
    """Return paths in the playlist's folder."""
    return [f"p/s/c/video/{name}" for name in names]


def test_an_hls_playlist_names_its_lines_and_the_uris_of_its_tags() -> None:
    """Quoted as URLs, or as muxers write them; comments name nothing."""
    named_in_master = below("audio/en.m3u8", "stream_0/index.m3u8", "frames.m3u8")
    assert named(MASTER, "master.m3u8", *named_in_master) == named_in_master
    segments = below("init.mp4", "index0.m4s", "sub/ä b.m4s", "part.mp4")
    assert named(FRAGMENTS, "a.m3u8", *segments) == segments
    assert named(FRAGMENTS, "a.m3u8", *below("index9.m4s", "index1.m4s", "")) == []
    raw = "#EXTM3U\na%20b#1?.ts\n"
    assert named(raw, "a.m3u8", *below("a%20b#1?.ts", "a b", "a%20b")) == below("a%20b#1?.ts", "a b", "a%20b")


def test_an_mpd_names_what_its_templates_lists_and_bases_stand_for() -> None:
    """Ids are filled in, numbers and times may be any; comments and other hosts name nothing."""
    found = below(
        "video/avc1/init.mp4", "video/avc1/00007-123.m4s", "a&b/init.mp4", "a&b/1-1.m4s", "stream9-5-$.m4s"
    )
    assert named(TEMPLATES, "a.mpd", *found) == found
    assert named(TEMPLATES, "a.mpd", *below("video/avc1/x/1-1.m4s", "a&b/1.m4s", "stream8-5-$.m4s")) == []
    found = below("films/index-stream0.mp4", "films/head.mp4", "films/one.m4s")
    assert named(RANGES, "a.mpd", *found) == found
    assert named(RANGES, "a.mpd", *below("films/gone.mp4", "gone.mp4", "index-stream0.mp4")) == []


@pytest.mark.parametrize("cut", range(0, len(TEMPLATES), 29))
def test_half_a_playlist_names_what_it_names(cut: int) -> None:
    """A writer may be in the middle of it; nothing is raised."""
    whole = parse(TEMPLATES, "a.mpd", PLACE)
    half = parse(TEMPLATES[:cut], "a.mpd", PLACE)
    assert half.paths <= whole.paths | set(below("9", "a&b", "video/avc1"))


@pytest.mark.parametrize(
    "name",
    [
        "../../../other/scene/film.mp4",
        "../../d/video/film.mp4",
        "/etc/passwd",
        "/renders/p/s/d/video/film.mp4",
        "//host/p/s/c/video/film.mp4",
        "https://host/film.mp4",
        "file:///renders/p/s/c/video/film.mp4",
        "data:video/mp4;base64,AAAA",
        "..",
        ".",
        "",
        "x/../../../../../p/s/d/film.mp4",
        "%2e%2e/%2e%2e/d/video/film.mp4",
        "a%00b.mp4",
    ],
)
@pytest.mark.parametrize("form", ["#EXTM3U\n{}\n", '#EXT-X-MAP:URI="{}"\n', "<MPD><BaseURL>{}</BaseURL>"])
def test_a_playlist_speaks_for_its_own_scene_alone(name: str, form: str) -> None:
    """Whatever it names elsewhere, here or on another host, is none of its business."""
    kind = "a.mpd" if form.startswith("<") else "a.m3u8"
    playlist = parse(form.format(name), kind, PLACE)
    assert all(path.startswith("p/s/c/") for path in playlist.paths)
    assert not playlist.names("p/s/d/video/film.mp4")
    assert not playlist.names("etc/passwd")


def test_names_within_the_scene_lead_anywhere_in_it() -> None:
    """Upwards, and by the absolute paths that ffmpeg writes."""
    text = "#EXTM3U\n../segments/1.ts\n/renders/p/s/c/segments/2.ts\na/../3.ts\n"
    found = ["p/s/c/segments/1.ts", "p/s/c/segments/2.ts", "p/s/c/video/3.ts"]
    assert named(text, "a.m3u8", *found) == found


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 40)
)
HOSTILE = {
    "a bomb of entities": BOMB + "]><MPD><BaseURL>&b39;</BaseURL></MPD>",
    "another's file": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><MPD><BaseURL>&e;</BaseURL></MPD>',
    "deep": "<MPD><Period>" * 200_000,
    "closed": "</MPD>" * 500_000,
    "tags without an end": "<MPD media='" * 300_000,
    "quotes": '<SegmentTemplate media="' * 150_000,
    "words": "<MPD " + "a" * 1_000_000,
    "comments": "<!--" * 1_000_000,
    "bases in bases": "<MPD><BaseURL>a/</BaseURL>" * 150_000,
    "templates times representations": '<MPD><SegmentTemplate media="' + "$Time$a" * 120 + '"/>'
    + '<Representation id="a"/>' * 150_000,
    "placeholders": '<MPD><Representation><SegmentTemplate media="' + "$Number$" * 120 + '.m4s"/>',
    "uris": '#EXT-X-MAP:URI="' * 250_000,
    "lines": "#EXTM3U\n" + "\n".join(map(str, range(150_000))),
    "a long line": "#EXTM3U\n" + "a/" * 2_000_000,
    "quoted": "#EXTM3U\n" + "%25" * 1_300_000,
    "dots": "#EXTM3U\n" + "../" * 1_300_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["a.mpd", "a.m3u8"])
def test_no_playlist_costs_much(name: str, kind: str) -> None:
    """Time is linear, names are counted, no entity is expanded."""
    begun = time.process_time()
    playlist = parse(HOSTILE[name][:TEXT_BYTES_MAX], kind, PLACE)
    for _ in range(100):
        playlist.names("p/s/c/video/" + "1a" * 120 + ".m4s")
    assert time.process_time() - begun < 10  # a quadratic way takes hours
    assert len(playlist.paths) <= NAMES_MAX + 3
    assert sum(map(len, playlist.paths)) < 16 * TEXT_BYTES_MAX
    assert all(path.startswith("p/s/c/") for path in playlist.paths)


def test_what_was_not_read_to_its_end_may_name_all_beside_it() -> None:
    """Too many names, or too long a text: nothing beside it is taken for a film of its own."""
    many = "".join(f"{number}.ts\n" for number in range(NAMES_MAX + 5))
    for playlist in (parse(many, "a.m3u8", PLACE), parse("", "a.m3u8", PLACE, is_cut=True)):
        assert playlist.is_cut
        assert playlist.names("p/s/c/video/film.mp4")
        assert not playlist.names("p/s/c/other/film.mp4")


@given(text=st.text(alphabet='<>/MPDRepresentation BaseURL="$Number#EXT:URI,.\n&', max_size=300))
def test_any_text_is_read(text: str) -> None:
    """Nothing is raised, and nothing outside is named."""
    for kind in ("a.mpd", "a.m3u8"):
        assert all(path.startswith("p/s/c/") for path in parse(text, kind, PLACE).paths)


def test_a_mask_is_matched_as_a_search_for_each_piece() -> None:
    """Against the plain regular expression, on short names."""
    chance = random.Random(1)
    for _ in range(2000):
        pieces = ["".join(chance.choices("ab", k=chance.randrange(3))) for _ in range(chance.randrange(2, 4))]
        media = "x" + "$Time$".join(pieces)
        text = f'<MPD><Representation><SegmentTemplate media="{media}"/></Representation></MPD>'
        playlist: Playlist = parse(text, "a.mpd", PLACE)
        name = "x" + "".join(chance.choices("ab1", k=chance.randrange(8)))
        assert playlist.names(f"p/s/c/video/{name}") is _fits("x" + pieces[0], pieces[1:], name)


def _fits(first: str, rest: list[str], name: str) -> bool:
    if not name.startswith(first):
        return False
    if not rest:
        return name == first
    left = name[len(first) :]
    return any(_fits(rest[0], rest[1:], left[skip:]) for skip in range(len(left) + 1))
