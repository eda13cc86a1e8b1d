"""The wheel in bare environments: no Rust toolchain and no compiler is on the PATH.

``make test-wheel`` builds the distributions and sets MOCLIP_WHEELS to their folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.cli import sets
from support.clips import H264, encode, panning

pytestmark = pytest.mark.slow

QUICK_DEMO = (
    "data.clips_per_class=4",
    "data.frames=6",
    "train_motion.epochs=1",
    "train_head.epochs=2",
    "run.workers=1",
)
FIRST_VECTOR = """
import sys
import mv_tools
decoder = mv_tools.MotionDecoder(sys.argv[1])
moving = max(int(abs(frame.mv).max()) for frame in decoder)
assert decoder.backend == "native", decoder.backend
assert moving > 0
sizes = decoder.metadata.width, decoder.metadata.height
print(*sizes, len(decoder))
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment whose programs are all that is on its PATH."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *packages: str) -> None:
        """Install from wheels only: nothing is compiled."""
        uv("pip", "install", "--only-binary", ":all:", "--python", str(self.python), *packages)

    def run(self, program: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        path = str(self.folder / "bin")
        assert not any(
            shutil.which(tool, path=path) for tool in ("cargo", "rustc", "cc", "gcc", "clang", "c++")
        )
        return subprocess.run(
            [str(self.folder / "bin" / program), *map(str, words)],
            env={"PATH": path, "HOME": str(cwd), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def has(self, package: str, cwd: Path) -> bool:
        """Whether a package can be imported."""
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        return self.run("python", "-c", code, cwd=cwd).returncode == 0


def uv(*words: str) -> str:
    """Run uv, which `make env` installs beside Python."""
    program = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def interpreter(version: str) -> str | None:
    """A Python of this version: on the PATH, or one of pyenv's."""
    folders = [str(path) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin")]
    return shutil.which(f"python{version}", path=os.pathsep.join([*folders, os.environ["PATH"]]))


def bare(folder: Path, python: str = sys.executable) -> Environment:
    """A virtual environment without packages."""
    uv("venv", "--quiet", "--python", python, str(folder))
    return Environment(folder)


def built(pattern: str) -> Path:
    folder = os.environ.get("MOCLIP_WHEELS")
    if not folder:
        pytest.skip("MOCLIP_WHEELS is not set; `make test-wheel` builds a wheel and sets it")
    found = sorted(Path(folder).glob(pattern))
    assert len(found) == 1, f"{folder} holds {len(found)} files like {pattern}"
    return found[0].resolve()


@pytest.fixture(scope="module")
def wheel() -> Path:
    return built("*.whl")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", panning(6, 320, 240, (3, 0)), **H264)


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install WHEEL` brings."""
    environment = bare(tmp_path_factory.mktemp("light") / "env")
    environment.install(str(wheel))
    return environment


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_numpy_and_av_are_enough_for_motion_vectors(
    version: str, wheel: Path, clip: Path, tmp_path: Path
) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed here")
    environment = bare(tmp_path / "env", python)
    environment.install("numpy", "av")
    environment.install("--no-deps", str(wheel))
    done = environment.run("python", "-W", "error", "-c", FIRST_VECTOR, clip, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["320", "240", "6"]


def test_light_installation(light: Environment, clip: Path, tmp_path: Path) -> None:
    assert not any(
        light.has(package, tmp_path) for package in ("torch", "sklearn", "matplotlib", "onnxruntime")
    )
    done = light.run("moclip", "mv", "probe", clip, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["width"] == 320
    done = light.run("moclip", "mv", "show", clip, "-o", "motion.png", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "motion.png").is_file()) == (0, True), done.stderr
    done = light.run("moclip", "demo", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("pip install 'moclip-lite[train]'")
    assert not (tmp_path / "demo").exists()


def test_demo_and_prediction_without_pytorch(wheel: Path, light: Environment, tmp_path: Path) -> None:
    full = bare(tmp_path / "full")
    full.install(f"moclip-lite[train] @ {wheel.as_uri()}")
    done = full.run("moclip", "demo", *sets(QUICK_DEMO), "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fusion" in done.stdout
    clip = next((tmp_path / "demo" / "clips").rglob("*.mp4"))
    words = ("predict", clip, "--model", "demo/run", "--json")
    answer = json.loads(full.run("moclip", *words, cwd=tmp_path).stdout)
    assert answer[0]["predictions"]

    refused = light.run("moclip", *words, cwd=tmp_path)
    assert refused.returncode == 2
    assert "pip install 'moclip-lite[predict]'" in refused.stderr
    light.install(f"moclip-lite[predict] @ {wheel.as_uri()}")
    assert not light.has("torch", tmp_path)
    done = light.run("moclip", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["predictions"] == answer[0]["predictions"]


def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    assert "cp310-abi3-" in wheel.name
    assert "manylinux" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mv_tools", "moclip_lite"}
    assert {"moclip_lite/serve/static/index.html", "mv_tools/_native.abi3.so", "mv_tools/py.typed"} <= set(
        names
    )
    assert not [name for name in names if name.endswith((".pyc", ".rs"))]


def test_native_module_needs_no_newer_glibc_than_the_wheel_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        module = archive.read("mv_tools/_native.abi3.so")
    needed = {(int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", module)}
    assert "manylinux_2_17_x86_64" in wheel.name
    assert needed
    assert max(needed) <= (2, 17)


def test_source_distribution_can_be_built_from() -> None:
    with tarfile.open(built("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    crates = {f"rust/{crate}/Cargo.toml" for crate in ("native", "bitstream", "h264mv", "h265mv")}
    assert crates | {"pyproject.toml", "README.md", "LICENSE", "mv_tools/__init__.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc")) or name.startswith("data/")]
