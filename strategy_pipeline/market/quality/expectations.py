"""Great Expectations as the executor of rules on whole tables.

What belongs here: running a list of expectations on a frame, without files, progress bars or analytics. What does not:
which rules there are.
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd


def run_expectations(frame: pd.DataFrame, name: str, rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Validate `frame` and return one row per rule: ``rule, passed, checked, failed, detail, executor``.

    Parameters
    ----------
    rules : rule name to expectation (instances from `great_expectations.expectations`)
    """
    # Read when the library is imported, so it must stand before.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas(name)
    batch_definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    batch = batch_definition.get_batch(batch_parameters={"dataframe": frame})
    for rule, expectation in rules.items():
        expectation.meta = {"rule": rule}
    suite = gx.ExpectationSuite(name=name, expectations=list(rules.values()))
    outcome = batch.validate(suite, result_format="SUMMARY")
    # Great Expectations answers in an order of its own.
    by_rule = {row["rule"]: row for row in (_row(result, len(frame)) for result in outcome.results)}
    return [by_rule[rule] for rule in rules]


def _row(result: Any, length: int) -> dict[str, Any]:
    values = result.result or {}
    failed = int(values.get("unexpected_count", 0 if result.success else length) or 0)
    detail = ""
    if not result.success:
        raised = (result.exception_info or {}).get("exception_message") if isinstance(result.exception_info, dict) else None
        examples = values.get("partial_unexpected_list") or values.get("observed_value")
        detail = str(raised or f"{failed} of {values.get('element_count', length)} rows, such as {str(examples)[:120]}").splitlines()[0]
    return {
        "rule": result.expectation_config.meta["rule"],
        "passed": bool(result.success),
        "checked": int(values.get("element_count", length) or 0),
        "failed": failed,
        "detail": detail,
        "executor": f"great_expectations {result.expectation_config.type}",
    }
