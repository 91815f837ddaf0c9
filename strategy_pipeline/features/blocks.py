"""Features of bars, as value expressions: scale-free, so that assets and years are comparable.

Lengths count bars of the bars' timeframe; those with ``@4h`` count bars of that timeframe and enter at its close.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from strategy_pipeline.features.sets import Feature
from strategy_pipeline.indicators import Arithmetic, Number, Series, Value, term

CLOSE = Series("close")

# The two timeframes above each: roughly four to eight and twenty-four times as long.
HIGHER = {
    "1m": ("15m", "1h"), "3m": ("30m", "2h"), "5m": ("30m", "2h"), "15m": ("1h", "4h"), "30m": ("2h", "12h"), "1h": ("4h", "1d"),
    "2h": ("12h", "1d"), "4h": ("1d", "1w"), "6h": ("1d", "1w"), "12h": ("3d", "1w"), "1d": ("1w", "1M"),
}  # fmt: skip


def over(a: Value, b: Value) -> Value:
    """a / b."""
    return Arithmetic("/", (a, b))


def less(a: Value, b: Value) -> Value:
    """a - b."""
    return Arithmetic("-", (a, b))


def log(a: Value) -> Value:
    """ln a; NaN where a is not positive."""
    return Arithmetic("log", (a,))


def on(name: str, **params: Any) -> Series:
    """An indicator of the close, or of whole bars."""
    return term(name, **params)


def at(value: Value, timeframe: str) -> Value:
    """The expression computed on a higher timeframe: every leaf of it reads that timeframe's bars."""
    if isinstance(value, Series):
        return Series(value.name, value.inputs, value.params, value.output, timeframe, value.symbol)
    if isinstance(value, Arithmetic):
        return Arithmetic(value.op, tuple(at(operand, timeframe) for operand in value.operands))
    return value


def part(name: str, output: str, **params: Any) -> Series:
    """One output of an indicator that has several."""
    return term(name, output=output, **params)


def gap(length: int) -> Value:
    """ln of the close over its exponential mean."""
    return log(over(CLOSE, on("ema", length=length)))


def log_volatility(name: str, length: int) -> Value:
    """ln of an annualised estimate."""
    return log(on(name, length=length))


def _block(block: str, **columns: Value) -> tuple[Feature, ...]:
    return tuple(Feature(name, block, value) for name, value in columns.items())


def standard(timeframe: str) -> tuple[Feature, ...]:
    """The columns of bars in the standard set."""
    returns = {f"return_{n}": on("log_return", length=n) for n in (1, 2, 3, 6, 12, 24, 48, 96, 168)}
    risk_adjusted = {f"return_{n}_sigma": over(on("log_return", length=n), on("realized_volatility", length=96)) for n in (6, 24, 96)}
    atr = on("atr", length=14)
    higher: dict[str, Value] = {}
    for upper in HIGHER.get(timeframe, ()):
        monthly = upper == "1M"
        for name, value in _on_higher(short=monthly).items():
            higher[f"{name}@{upper}"] = at(value, upper)
    return (
        *_block("returns", **returns, **risk_adjusted),
        *_block(
            "trend",
            ema_gap_24=gap(24),
            ema_gap_96=gap(96),
            ema_gap_336=gap(336),
            ema_cross_12_48=log(over(on("ema", length=12), on("ema", length=48))),
            macd_histogram=over(part("macd", "histogram"), atr),
            adx_14=on("adx", length=14),
            di_balance=less(on("plus_di", length=14), on("minus_di", length=14)),
            aroonosc_24=on("aroonosc", length=24),
            efficiency_24=on("efficiency_ratio", length=24),
            efficiency_96=on("efficiency_ratio", length=96),
            r_squared_48=on("r_squared", length=48),
            slope_24=over(on("linearreg_slope", length=24), atr),
            slope_96=over(on("linearreg_slope", length=96), atr),
        ),
        *_block(
            "momentum",
            rsi_7=on("rsi", length=7),
            rsi_14=on("rsi", length=14),
            rsi_42=on("rsi", length=42),
            stoch_k_14=part("stoch", "k", length=14),
            cci_20=on("cci", length=20),
            mfi_14=on("mfi", length=14),
            tsi=on("tsi"),
            ppo=on("ppo"),
            trix_15=on("trix", length=15),
        ),
        *_block(
            "position",
            zscore_24=on("zscore", length=24),
            zscore_96=on("zscore", length=96),
            zscore_336=on("zscore", length=336),
            rank_96=on("rank", length=96),
            drawdown_168=on("drawdown", length=168),
            high_age_96=over(on("bars_since_high", length=96), Number(96.0)),
            low_age_96=over(on("bars_since_low", length=96), Number(96.0)),
            channel_48=over(
                less(CLOSE, part("donchian", "lower", length=48)),
                less(part("donchian", "upper", length=48), part("donchian", "lower", length=48)),
            ),
        ),
        *_block(
            "volatility",
            log_volatility_24=log_volatility("realized_volatility", 24),
            log_volatility_96=log_volatility("realized_volatility", 96),
            log_volatility_336=log_volatility("realized_volatility", 336),
            log_parkinson_24=log_volatility("parkinson", 24),
            log_yang_zhang_48=log_volatility("yang_zhang", 48),
            volatility_ratio=on("volatility_ratio", fast=12, slow=96),
            down_share_96=over(part("semivariance", "down", length=96), part("semivariance", "up", length=96)),
            natr_14=on("natr", length=14),
            range_ratio=over(on("trange"), atr),
            skew_96=on("skew", length=96),
            log_kurtosis_96=log(on("kurtosis", length=96)),
            jump_ratio_96=on("jump_ratio", length=96),
            choppiness_28=on("choppiness", length=28),
        ),
        *_block(
            "memory",
            autocorrelation_96=on("autocorrelation", length=96, lag=1),
            variance_ratio_96=on("variance_ratio", length=96, step=4),
            entropy_96=on("entropy", length=96),
        ),
        *_block(
            "volume",
            log_volume_ratio_24=log(on("volume_ratio", length=24)),
            log_hour_volume_ratio=log(on("hour_volume_ratio", length=20)),
            volume_z_168=term("zscore", log(Series("volume")), length=168),
            cmf_24=on("cmf", length=24),
            obv_24=over(
                Arithmetic("change", (on("obv"), Number(24.0))), term("sum", Series("volume"), length=24)
            ),
            vwap_z_24=part("vwap_bands", "zscore", length=24),
            vwap_gap_96=log(over(CLOSE, on("vwap", length=96))),
            log_amihud_24=term("zscore", log(on("amihud", length=24)), length=336),
            bulk_imbalance_24=on("bulk_imbalance", length=24),
        ),
        *_block(
            "order_flow",
            taker_imbalance_1=on("taker_imbalance", length=1),
            taker_imbalance_6=on("taker_imbalance", length=6),
            taker_imbalance_24=on("taker_imbalance", length=24),
            taker_imbalance_96=on("taker_imbalance", length=96),
            delta_divergence_48=on("delta_divergence", length=48),
            log_trade_size=log(on("trade_size_ratio", length=48)),
            log_trade_intensity=log(on("trade_intensity", length=48)),
        ),
        *_block(
            "cross_asset",
            relative_strength_6=on("relative_strength", length=6),
            relative_strength_24=on("relative_strength", length=24),
            relative_strength_168=on("relative_strength", length=168),
            cross_rank_24=on("cross_rank", length=24),
            cross_rank_168=on("cross_rank", length=168),
            market_return_1=on("market_return", length=1),
            market_return_24=on("market_return", length=24),
            market_return_168=on("market_return", length=168),
            breadth_48=on("breadth", length=48),
            dispersion_24=on("dispersion", length=24),
            beta_168=on("beta", length=168),
            correlation_168=on("correlation", length=168),
            lead_lag_168=on("lead_lag", length=168, lag=1),
            residual_return_24=on("residual_return", length=168, horizon=24),
        ),
        *_block("higher_timeframes", **higher),
        *_block(
            "calendar",
            hour_sin=part("hour_of_day", "sin"),
            hour_cos=part("hour_of_day", "cos"),
            weekday_sin=part("day_of_week", "sin"),
            weekday_cos=part("day_of_week", "cos"),
        ),
    )  # fmt: skip


def _on_higher(*, short: bool) -> dict[str, Value]:
    """What is read on a higher timeframe; on months with short windows, for there are few."""
    slow = 6 if short else 24
    return {
        "return_1": on("log_return", length=1),
        "return_5": on("log_return", length=5),
        "rsi_14": on("rsi", length=5 if short else 14),
        "ema_gap": gap(slow),
        "adx_14": on("adx", length=5 if short else 14),
        "zscore": on("zscore", length=slow),
        "log_volatility": log_volatility("realized_volatility", slow),
    }


def _world_correlations(timeframe: str) -> dict[str, Value]:
    """Correlation of daily returns with the world's markets over 60 days, in bars; of bars as long as a day, over 60 of them."""
    from strategy_pipeline.market.timeframes import duration

    day = max(1, round(float(np.timedelta64(1, "D") / duration(timeframe))))
    markets = ("sp500", "nasdaq", "dxy", "vix")
    return {f"correlation_{name}_60d": on(f"correlation_{name}", length=60 * day, horizon=day) for name in markets}


def further(timeframe: str) -> tuple[Feature, ...]:
    """What the full set adds."""
    candles = ("cdlengulfing", "cdlhammer", "cdlshootingstar", "cdlmorningstar", "cdleveningstar", "cdldoji", "cdlharami")
    return (
        *_block("returns", **{f"return_{n}": on("log_return", length=n) for n in (4, 8, 18, 36, 72, 336, 504)}),
        *_block(
            "trend",
            keltner_24=over(
                less(CLOSE, part("keltner", "middle", length=24)),
                less(part("keltner", "upper", length=24), part("keltner", "middle", length=24)),
            ),
            vortex_balance=less(part("vortex", "plus", length=28), part("vortex", "minus", length=28)),
            hma_gap_48=log(over(CLOSE, on("hma", length=48))),
            vhf_28=on("vhf", length=28),
        ),
        *_block(
            "momentum",
            willr_28=on("willr", length=28),
            cmo_28=on("cmo_sum", length=28),
            ultosc=on("ultosc"),
            stochrsi_k=part("stochrsi", "k"),
            imi_14=on("imi", length=14),
            fosc_14=on("fosc", length=14),
        ),
        *_block(
            "memory",
            hurst_128=on("hurst", length=128),
            shannon_entropy_96=on("shannon_entropy", length=96),
            autocorrelation_96_24=on("autocorrelation", length=96, lag=24),
            fractal_dimension_64=on("fractal_dimension", length=64),
            log_half_life_168=log(on("half_life", length=168)),
        ),
        *_block(
            "volatility",
            log_garman_klass_24=log_volatility("garman_klass", 24),
            log_rogers_satchell_24=log_volatility("rogers_satchell", 24),
            log_bipower_96=log_volatility("bipower_variation", 96),
            volatility_of_volatility=on("volatility_of_volatility"),
            ulcer_index_48=on("ulcer_index", length=48),
        ),
        *_block(
            "volume_profile",
            poc_gap_96=over(less(CLOSE, part("volume_profile", "poc", length=96)), on("atr", length=14)),
            value_area_position_96=over(
                less(CLOSE, part("volume_profile", "value_low", length=96)),
                less(part("volume_profile", "value_high", length=96), part("volume_profile", "value_low", length=96)),
            ),
            high_node_gap_96=over(less(CLOSE, part("volume_nodes", "high_node", length=96)), on("atr", length=14)),
            low_node_gap_96=over(less(CLOSE, part("volume_nodes", "low_node", length=96)), on("atr", length=14)),
            session_vwap_position=over(
                less(CLOSE, part("session_vwap_bands", "lower")),
                less(part("session_vwap_bands", "upper"), part("session_vwap_bands", "lower")),
            ),
            vwap_from_high_168=log(over(CLOSE, part("anchored_vwap", "from_high", length=168))),
            vwap_from_low_168=log(over(CLOSE, part("anchored_vwap", "from_low", length=168))),
        ),
        *_block(
            "order_flow",
            vpin_48=on("vpin", length=48),
            kyle_lambda_96=on("kyle_lambda", length=96),
            roll_spread_96=on("roll_spread", length=96),
            corwin_schultz_24=on("corwin_schultz", length=24),
        ),
        *_block(
            "cross_asset",
            ewm_correlation_96=on("ewm_correlation", length=96),
            cointegration_residual_336=on("cointegration_residual", length=336),
            ratio_zscore_168=on("ratio_zscore", length=168),
            downside_beta_336=on("downside_beta", length=336),
            relative_volatility_96=on("relative_volatility", length=96),
            dispersion_168=on("dispersion", length=168),
            **_world_correlations(timeframe),
        ),
        *_block(
            "regime",
            volatility_rank_504=term("rank", on("realized_volatility", length=24), length=504),
            volatility_trend=log(over(on("realized_volatility", length=24), on("realized_volatility", length=168))),
            efficiency_336=on("efficiency_ratio", length=336),
            market_volatility_z=term("zscore", log(term("stddev", on("market_return", length=1), length=48)), length=336),
            dispersion_z=term("zscore", log(on("dispersion", length=24)), length=336),
            correlation_change=less(on("correlation", length=48), on("correlation", length=336)),
            volume_regime=log(over(term("sma", Series("volume"), length=48), term("sma", Series("volume"), length=336))),
        ),
        *_block("seasonality", hour_return_30=on("hour_return", length=30), week_hour_return_8=on("week_hour_return", length=8)),
        *_block("cycles", dominant_cycle=on("ht_dcperiod"), cycle_sine=part("ht_sine", "sine"), trend_mode=on("ht_trendmode")),
        *_block("candles", **{name: over(on(name), Number(100.0)) for name in candles}),
    )
