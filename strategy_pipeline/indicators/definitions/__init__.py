"""Every entry of the catalog, one module per family.

Importing a module registers its entries. TA-Lib computes what TA-Lib has; the rest are compiled loops of
`indicators.kernels`. What does not belong here: evaluation over symbols and gaps (`indicators.bank`).
"""

from __future__ import annotations

from importlib import import_module

MODULES = (
    "averages", "trend", "momentum", "volatility", "volume", "price", "cycles", "statistics", "candles", "order_flow", "cross_asset",
    "fractals", "seasonality", "filters", "composites", "quotes", "macro", "profiles",
)  # fmt: skip


def load_all() -> None:
    """Register every entry (idempotent: modules import once)."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
