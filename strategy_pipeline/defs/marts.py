"""dbt marts over the lake: for people and BI; the library reads the lake, never a mart."""

from __future__ import annotations

from pathlib import Path

PROJECT_FOLDER = Path(__file__).resolve().parents[2] / "dbt"
