"""Draws the pictures of the README from the project itself.

python docs/pictures.py graph                 docs/images/asset-graph.svg, from the stages
python docs/pictures.py report REPORT.html    docs/images/report.png, a screenshot (needs Chromium)
python docs/pictures.py strategy PAGE.html    docs/images/strategy.png, the same of one strategy's page
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images"
GROUPS = ("market", "features", "models", "predictions", "strategies", "portfolio", "analytics")
WIDTH, HEIGHT, GAP_X, GAP_Y, TOP = 158, 30, 44, 16, 46


def asset_graph() -> str:
    """The graph of stages as SVG: a column a group, an arrow an input, dashed where it is a model of an earlier cutoff."""
    from strategy_pipeline.cycle import STAGES

    columns = [[s for s in STAGES.values() if s.group == group] for group in GROUPS]
    tallest = max(map(len, columns))
    place = {}
    for x, column in enumerate(columns):
        offset = (tallest - len(column)) / 2
        for y, stage in enumerate(column):
            place[stage.name] = (20 + x * (WIDTH + GAP_X), TOP + (y + offset) * (HEIGHT + GAP_Y))
    width, height = 40 + len(GROUPS) * (WIDTH + GAP_X) - GAP_X, TOP + tallest * (HEIGHT + GAP_Y) + 10
    lines, boxes = [], []
    for stage in STAGES.values():
        x, y = place[stage.name]
        for upstream in stage.inputs:
            ux, uy = place[upstream]
            dashed = ' stroke-dasharray="4 3"' if STAGES[upstream].job != stage.job else ""
            if ux == x:  # within a column: an arc on its left side
                path = f"M{ux} {uy + HEIGHT / 2} C{ux - 26} {uy + HEIGHT / 2} {x - 26} {y + HEIGHT / 2} {x} {y + HEIGHT / 2}"
            else:
                out, middle, into = ux + WIDTH, uy + HEIGHT / 2, y + HEIGHT / 2
                path = f"M{out} {middle} C{out + 24} {middle} {x - 24} {into} {x} {into}"
            lines.append(f'<path d="{path}"{dashed} marker-end="url(#a)"/>')
        fill = "#fdf1dc" if stage.job == "retrain" else "#ffffff"
        boxes.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#8aa0b8"/>')
        boxes.append(f'<text x="{x + WIDTH / 2}" y="{y + 19.5}" text-anchor="middle">{escape(stage.name)}</text>')
    heads = [f'<text x="{20 + x * (WIDTH + GAP_X)}" y="28" class="h">{group}</text>' for x, group in enumerate(GROUPS)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}">\n'
        "<style>text{font:12px system-ui,sans-serif;fill:#22303f}.h{font-weight:600;font-size:13px;fill:#52657a}"
        "path{fill:none;stroke:#b3c0cf;stroke-width:1.2}</style>\n"
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:#8aa0b8;stroke:none"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="#f6f8fa"/>\n' + "\n".join([*lines, *boxes, *heads]) + "\n</svg>\n"
    )


def screenshot(page: Path, picture: Path, width: int = 1200, height: int = 1500) -> None:
    """A PNG of a local page in headless Chromium, which talks to nobody."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("Expected Chromium on PATH, was absent; install the package chromium and run again")
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options += ["--virtual-time-budget=8000"]  # until the charts are drawn
        where = [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={picture}"]
        subprocess.run([browser, *options, *where, page.resolve().as_uri()], check=True, capture_output=True, timeout=120)


def main() -> None:
    if sys.argv[1:] == ["graph"]:
        (IMAGES / "asset-graph.svg").write_text(asset_graph(), encoding="utf-8")
    elif len(sys.argv) == 3 and sys.argv[1] == "report":
        screenshot(Path(sys.argv[2]), IMAGES / "report.png")
    elif len(sys.argv) == 3 and sys.argv[1] == "strategy":
        screenshot(Path(sys.argv[2]), IMAGES / "strategy.png", height=2540)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
