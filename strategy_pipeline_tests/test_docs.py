"""Pages and pictures that are made from the code are as the code makes them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_settings_page_is_as_the_code_makes_it() -> None:
    done = subprocess.run([sys.executable, "docs/pages.py", "--check"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_asset_graph_is_as_the_stages_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs"))
    from pictures import asset_graph

    picture = REPOSITORY / "docs" / "images" / "asset-graph.svg"
    assert picture.read_text(encoding="utf-8") == asset_graph(), "stale; run: python docs/pictures.py graph"


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_room_is_named_in_the_architecture_page() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path.name for path in (REPOSITORY / "strategy_pipeline").iterdir() if (path / "__init__.py").exists()]
    assert [room for room in rooms if room not in text] == []


SECTIONS = re.findall(
    r"^## ([a-z_, ]+)\n(.*?)(?=^## |\Z)", (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M | re.S
)


@pytest.mark.parametrize(("rooms", "text"), SECTIONS, ids=[rooms for rooms, _ in SECTIONS])
def test_the_architecture_page_and_the_rooms_name_the_same(rooms: str, text: str) -> None:
    """Every public name of a room stands in its section, and what a section calls is defined in its rooms or in those they use."""
    code, public = "", []
    for room in rooms.split(", "):
        folder = REPOSITORY / "strategy_pipeline" / room
        files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
        code += "".join(path.read_text(encoding="utf-8") for path in files)
        public += getattr(importlib.import_module(f"strategy_pipeline.{room}"), "__all__", [])
    assert [name for name in public if not re.search(rf"\b{re.escape(name)}\b", text)] == []
    spans = re.findall(r"`([^`]+)`", text)
    called = {name for span in spans for name in re.findall(r"\b([A-Za-z_]\w+)\(", span)}
    known = set(re.findall(r"(?:def|class) (\w+)", code)) | set(re.findall(r"(\w+): (?:Callable|Cache|Judge)\b", code)) | {"DataFrame"}
    assert sorted(called - known - set(public)) == []


def test_what_a_day_leaves_in_the_lake_stands_in_the_table(tiny_day: Path) -> None:
    table = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Where things lie in the lake")[2]
    (lake,) = tiny_day.glob("universes/*/lake")
    parts = {path.relative_to(lake).parts for path in lake.rglob("*") if path.is_file()}
    found = {part[0] for part in parts if not part[0].startswith(".")} | {part[1] for part in parts if part[0] in ("strategies", "models")}
    assert [name for name in sorted(found) if not re.search(rf"\b{re.escape(name)}\b", table)] == []


def test_tracked_files_name_no_folder_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    texts = [name for name in listed if name.endswith((".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".sql")) and "test_docs" not in name]
    pattern = re.compile(r"(^|[\s\"'=(])/(work|root|opt)/")
    found = [name for name in texts if pattern.search((REPOSITORY / name).read_text(encoding="utf-8"))]
    assert found == []
