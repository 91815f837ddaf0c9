"""Quality: rules that bars and observations must pass, and what happens to rows that do not.

What belongs here: rules, each with a name and a severity; setting rows apart with the reason; verifying with Great
Expectations that what is handed on is clean. What does not: mending or filling anything; writing tables (store).
"""

from __future__ import annotations

from strategy_pipeline.market.quality.check import check_bars
from strategy_pipeline.market.quality.observations import check_observations
from strategy_pipeline.market.quality.report import QualityReport, Verification
from strategy_pipeline.market.quality.verify import verify_bars, verify_observations

__all__ = ["QualityReport", "Verification", "check_bars", "check_observations", "verify_bars", "verify_observations"]
