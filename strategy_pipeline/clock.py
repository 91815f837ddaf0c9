"""The one place that reads the clock, for the outermost rooms only (orchestrator, service, defs, cli).

Everything they call takes `now` or `day` as an argument, so that a past day can be computed as it was.
"""

from __future__ import annotations

import pandas as pd


def system_now() -> pd.Timestamp:
    """The present moment, UTC."""
    return pd.Timestamp.now(tz="UTC")
