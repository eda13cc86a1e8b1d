"""``predict --segments`` and ``evaluate --segments``: what is printed, written and refused."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import av
import pytest
from PIL import Image

from moclip_lite import Classifier
from moclip_lite.datasets import Clip, Fold
from moclip_lite.datasets.synthetic.pictures import render_clip
from moclip_lite.datasets.table import read_table
from moclip_lite.errors import DataError
from moclip_lite.results.trained_on import write_division
from moclip_lite.storage.files import write_json, write_text

from support.cli import assert_ok, assert_refused, moclip
from support.clips import H264, encode
from support.timeline import LABELS, untrained


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds."""
    pictures = render_clip("water", "rotate", 50, (1, 2), (96, 80))[0]
    return encode(tmp_path_factory.mktemp("videos") / "long $x.mp4", pictures, **H264)


@pytest.fixture(autouse=True)
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any run folder is a classifier of random weights: nothing is trained here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    write_text(tmp_path / "x" / "config.yaml", "{}")
    write_json(tmp_path / "x" / "labels.json", list(LABELS))
    monkeypatch.setattr(Classifier, "load", lambda run, **options: untrained(tmp_path))


WINDOWS = ("--model", "x", "--segments", "--window", "0.8", "--threshold", "0")


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_segments_are_printed_and_written(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = ("--csv", out / "a.csv", "--vtt", out / "a.vtt", "--chapters", out / "a.txt")
    done = assert_ok(moclip("predict", video, *WINDOWS, *files, "--strip", out / "a.png"))
    assert "start" in done.out
    rows = _rows(out / "a.csv")
    assert list(rows[0]) == ["video", "start", "end", "label", "score"]
    assert rows[0]["video"] == str(video)
    assert rows[0]["label"] in LABELS
    assert (float(rows[0]["start"]), float(rows[-1]["end"])) == (0, 2)
    assert (out / "a.vtt").read_text(encoding="utf-8").count("-->") == len(rows)
    assert (out / "a.txt").read_text(encoding="utf-8").count("[CHAPTER]") >= len(rows)
    with Image.open(out / "a.png") as picture:
        assert picture.size[0] > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 100  # thumbnails
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("table", ["a.csv", "deep/er/a.csv", "videos/a.csv", "../a.csv"])
def test_the_table_is_read_as_annotations(
    video: Path, tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it lies and however the videos were named: below its folder or elsewhere."""
    names = ("videos/one.mp4", "videos/sub/two, 2.mp4", "other/thr;ee.mp4", "videos/s3:/x/y.mp4")
    for name in names:
        (tmp_path / "w" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "w" / name).write_bytes(video.read_bytes())
    monkeypatch.chdir(tmp_path / "w")
    given = (*names[:3], tmp_path / "w" / names[3])
    assert_ok(moclip("predict", *given, "--model", tmp_path / "x", *WINDOWS[2:], "--csv", table))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w" / table
    read = {row.path for row in read_table(path)}
    assert read == {tmp_path / "w" / name for name in names}
    inside = [row["video"] for row in _rows(path) if not Path(row["video"]).is_absolute()]
    assert all((path.parent / name).is_file() for name in inside)
    assert bool(inside) == (table != "deep/er/a.csv")
    done = moclip("evaluate", "x", "--segments", path, "--window", "0.8", "--json")
    assert assert_ok(done).json["annotated"] == len(_rows(path))


@pytest.mark.parametrize("name", ["two\nlines.mp4", " blank.mp4", "a\u00a0b.mp4"])
def test_names_that_no_table_holds_are_told(video: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    other.write_bytes(video.read_bytes())
    done = assert_ok(moclip("predict", other, *WINDOWS, "--csv", tmp_path / "a.csv"))
    assert "can't be read as an annotation table: " in " ".join(done.err.split())
    with pytest.raises(DataError):
        read_table(tmp_path / "a.csv")


def test_json_is_one_list(video: Path) -> None:
    done = assert_ok(moclip("predict", video, *WINDOWS, "--json"))
    (timeline,) = done.json
    assert timeline["path"] == str(video)
    assert timeline["duration"] == 2
    assert len(timeline["windows"]) == 7
    assert all(set(s["scores"]) == {"motion", "appearance", "fusion"} for s in timeline["segments"])


def test_a_page_holds_several_videos_and_escapes_names(video: Path, tmp_path: Path) -> None:
    other = tmp_path / "<b>.mp4"
    other.write_bytes(video.read_bytes())
    page = tmp_path / "page.html"
    assert_ok(moclip("predict", video, other, *WINDOWS, "--strip", page))
    text = page.read_text(encoding="utf-8")
    assert text.count("<section>") == 2
    assert "&lt;b&gt;.mp4" in text
    assert "<b>" not in text
    assert not re.search(r"<script|https?:", text)
    assert text.count("data:image/jpeg") >= 2


def test_a_bad_file_does_not_end_a_batch(video: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"x" * 1000)
    table = tmp_path / "all.csv"
    done = moclip("predict", bad, video, tmp_path / "no.mp4", *WINDOWS, "--csv", table)
    assert done.code == 2
    assert "bad.mp4: not a video file" in done.err
    assert "no such video file" in done.err
    assert {row["video"] for row in _rows(table)} == {str(video)}


def test_several_videos_write_into_a_folder(video: Path, tmp_path: Path) -> None:
    other = tmp_path / "in" / video.name
    other.parent.mkdir()
    other.write_bytes(video.read_bytes())
    out = tmp_path / "out"
    assert_ok(moclip("predict", video, other, *WINDOWS, "--vtt", out, "--strip", out))
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(f"{video.name}{end}" for end in (".vtt", "_2.vtt", ".png", "_2.png"))


def test_outputs_are_of_the_videos_they_are_called_after(video: Path, tmp_path: Path) -> None:
    """Whichever of several videos of one name got an answer, and whatever earlier runs wrote."""
    other, out, table = tmp_path / "in" / video.name, tmp_path / "out", tmp_path / "a.csv"
    other.parent.mkdir()
    other.write_bytes(video.read_bytes())
    options = (*WINDOWS, "--vtt", out, "--strip", tmp_path / "a.html", "--csv", table)
    assert_ok(moclip("predict", video, other, *options))
    copy = tmp_path / "bad" / video.name
    copy.parent.mkdir()
    copy.write_bytes(b"damaged" * 100)
    assert moclip("predict", copy, other, *options).code == 2
    assert [path.name for path in out.iterdir()] == [f"{video.name}_2.vtt"]
    assert {row["video"] for row in _rows(table)} == {f"in/{video.name}"}
    assert moclip("predict", copy, *WINDOWS, "--csv", table, "--strip", tmp_path / "a.html").code == 2
    assert not table.exists()
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--vtt", "a.vtt"), "--vtt is for long videos; add --segments"),
        (("--window", "2"), "--window is for long videos; add --segments"),
        (("--segments", "--frames", "all"), "frames must be one of ('keyframes', 'clip')"),
        (("--segments", "--window", "-1"), "window must be above 0 seconds"),
        (("--segments", "--window", "nan"), "window must be above 0 seconds"),
        (
            ("--segments", "--window", "1", "--stride", "2"),
            "a stride of 2 s is longer than the windows of 1 s",
        ),
        (("--segments", "--window", "1", "--threshold", "1.5"), "threshold must be from 0 to 1"),
        (("--segments",), "give the length of windows in seconds with --window"),
        (("--segments", "--strip", "a.gif"), "name a .png or .html file, or a folder"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: tuple[str, ...], words: str, video: Path) -> None:
    assert_refused(moclip("predict", video, "--model", "x", *options), words)


def test_a_video_is_not_overwritten(video: Path, tmp_path: Path) -> None:
    before = video.read_bytes()
    assert_refused(moclip("predict", video, *WINDOWS, "--vtt", video), "would overwrite")
    named = tmp_path / "video.csv"
    shutil.copy(video, named)
    assert_refused(moclip("predict", named, "--model", "x", "--table", named), "would overwrite")
    assert named.read_bytes() == before
    assert_refused(moclip("predict", video, video, *WINDOWS, "--vtt", "a.vtt"), "name a folder")
    assert video.read_bytes() == before


# Evaluation


def _table(video: Path, *rows: str) -> Path:
    path = video.with_suffix(".csv")
    path.write_text("\n".join(["video,label,start,end", *rows]) + "\n", encoding="utf-8")
    return path


def test_evaluation_prints_scores(video: Path) -> None:
    table = _table(video, f"{video.name},bricks,0,0.9", f"{video.name},water,1.0,2.0")
    words = ("evaluate", "x", "--segments", table, "--window", "0.8", "--threshold", "0")
    scores = assert_ok(moclip(*words, "--json")).json
    assert set(scores["map"]) == {"0.3", "0.5", "0.7"}
    assert set(scores["per_class"]) == {"bricks", "water"}
    assert 0 <= scores["frame_accuracy"] <= 100
    printed = assert_ok(moclip(*words)).out
    assert "mean (mAP)" in printed
    assert "frame accuracy %" in printed


def test_evaluation_on_videos_that_trained_warns(video: Path, tmp_path: Path) -> None:
    table = _table(video, f"{video.name},bricks,0,0.9")
    fold = Fold("holdout", (Clip(video, video.name, "bricks"),), (), ())
    write_division(tmp_path / "x" / "division.json", fold, str(video.parent), {})
    done = moclip("evaluate", "x", "--segments", table, "--window", "0.8", "--threshold", "0", "--json")
    assert "1 of the 1 videos of" in " ".join(assert_ok(done).err.split())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["{v},bricks,1,0.5"], "row 2, column end: 0.5 s is not after the start at 1 s"),
        (["{v},bricks,1,1"], "row 2, column end: 1 s is not after the start at 1 s"),
        (["{v},bricks,0,1", "{v},sand,1,2"], "row 3, column label: the model does not know 'sand'"),
        (["{v},bricks,0,1", "{v},water,0.5,2"], "row 3, column start: the segment overlaps that of row 2"),
        (["{v},bricks,0,1", "{v},bricks,0.5,2"], "row 3, column start: the segment overlaps that of row 2"),
        (["{v},bricks,5,6"], "row 2, column start: 5 s is behind the end of"),
        (["{v},bricks,1,60"], "row 2, column end: 60 s is behind the end of"),
        (["no.mp4,bricks,0,1"], "row 2, column video: there is no such video"),
        (["{v},bricks,-1,1"], "row 2, column start: -1 s is negative"),
        ([], "no rows"),
    ],
)
def test_tables_that_make_no_sense_are_refused(rows: list[str], words: str, video: Path) -> None:
    table = _table(video, *(row.format(v=video.name) for row in rows))
    done = moclip("evaluate", "x", "--segments", table, "--window", "0.8", "--quiet")
    assert done.code == 2
    assert words in done.err
    assert done.out == ""


def test_options_without_a_table_are_refused() -> None:
    assert_refused(
        moclip("evaluate", "x", "--window", "2"), "--window is for long videos; add --segments TABLE"
    )


# Times


def test_times_are_those_of_the_player(video: Path, tmp_path: Path) -> None:
    """The video begins half a second after the sound: a player's clock starts with the sound."""
    late = tmp_path / "late.mkv"
    with av.open(str(video)) as source, av.open(str(late), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        for start in range(0, 20000, 1000):
            frame = av.AudioFrame(format="s16", layout="mono", samples=1000)
            frame.sample_rate, frame.pts = 8000, start
            frame.planes[0].update(bytes(2000))
            out.mux(sound.encode(frame))
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                shift = round(0.5 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                out.mux(packet)
    plain, shifted = (untrained(tmp_path).timeline(path, window=0.8, threshold=0.0) for path in (video, late))
    assert (plain.start, shifted.start) == pytest.approx((0, 0.5), abs=2e-3)
    for one, other in zip(plain.windows, shifted.windows, strict=True):
        assert other.start == pytest.approx(one.start + 0.5, abs=2e-3)
        assert (other.label, other.score) == (one.label, pytest.approx(one.score, abs=1e-5))


def test_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    """The second half is shown at a fifth of the rate: its windows hold fewer pictures."""
    pictures = render_clip("water", "rotate", 50, (1, 2), (96, 80))[0]
    path = tmp_path / "variable.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": "0", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number if number < 25 else 25 + 5 * (number - 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    timeline = untrained(tmp_path).timeline(path, window=2.0, stride=1.0)
    assert timeline.duration == pytest.approx(6.0, abs=0.2)
    assert [window.start for window in timeline.windows] == pytest.approx([0, 1, 2, 3, 4], abs=0.2)


def test_damaged_pictures_do_not_end_a_video(video: Path, tmp_path: Path) -> None:
    data = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[30]
    data[position + 8 : position + size - 4] = bytes([255]) * (size - 12)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    timeline = untrained(tmp_path).timeline(damaged, window=0.8, threshold=0.0)
    assert len(timeline.windows) == 7
    assert any("damaged" in note for note in timeline.notes)
    assert timeline.segments


def test_codecs_without_vectors_are_re_encoded(tmp_path: Path) -> None:
    pictures = render_clip("water", "rotate", 30, (1, 2), (96, 80))[0]
    path = encode(tmp_path / "web.webm", pictures, "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})
    timeline = untrained(tmp_path).timeline(path, window=0.8, threshold=0.0)
    assert set(timeline.streams) == {"motion", "appearance", "fusion"}
    assert any("re-encoded to H.264" in note for note in timeline.notes)


# Free-text labels


@pytest.mark.usefixtures("small_clip")
def test_free_text_labels_over_time(video: Path, tmp_path: Path) -> None:
    words = ("--labels", "water, bricks", "--model", "ViT-S-32", "--pretrained", "none")
    options = ("--segments", "--window", "1", "--threshold", "0")
    done = moclip("zero-shot", video, *words, *options, "--csv", tmp_path / "a.csv", "--json")
    (timeline,) = assert_ok(done).json
    assert len(timeline["windows"]) == 5
    assert {row["label"] for row in _rows(tmp_path / "a.csv")} <= {"water", "bricks"}
    assert_refused(moclip("zero-shot", video, *words, "--csv", "a.csv"), "--csv is for long videos")
    assert_refused(moclip("zero-shot", video, "--segments"), "--segments needs --labels")
