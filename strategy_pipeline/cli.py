"""The `strategy-pipeline` command.

What belongs here: options, printing, exit codes. A mistake a user can mend is one line on stderr and exit
code 2; success, an empty promotion list included, is 0; a bug is a traceback and 1. Every setting is an
option of every command that works on a market, with the same name and meaning as in `Settings`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from strategy_pipeline import console
from strategy_pipeline.clock import system_now
from strategy_pipeline.config import Settings
from strategy_pipeline.errors import PipelineError, SettingsError
from strategy_pipeline.version import __version__

# Nothing phones home, whatever the libraries underneath default to.
_SILENT = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
}
_DAY = click.DateTime(formats=["%Y-%m-%d"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `strategy-pipeline` command."""
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    try:
        cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False, prog_name="strategy-pipeline")
    except click.exceptions.Abort:
        console.err.print("stopped")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except PipelineError as error:
        console.fail(error)
        if pointed := getattr(error, "pointed", ""):  # a sentence of the language: show the place
            console.lines([pointed], console=console.err)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has left: nothing to say to it
        sys.exit(0)


def market_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds one option a setting, and passes `settings` to the command."""

    @click.pass_context
    def wrapped(context: click.Context, **values: Any) -> Any:
        given = {key: values.pop(key) for key in list(Settings.model_fields) if key in values}
        given = {key: value for key, value in given.items() if value is not None}
        return context.invoke(command, settings=Settings(**given), **values)

    wrapped.__name__ = command.__name__
    wrapped.__doc__ = command.__doc__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    for name, field in reversed(Settings.model_fields.items()):
        if name == "cosmos_key":  # a secret on a command line ends in shell histories; the environment holds it
            continue
        default = field.default
        shown = "" if default in (None, ()) else f"  [default: {default}]"
        click.option(f"--{name.replace('_', '-')}", name, default=None, metavar="VALUE", help=f"{field.description}{shown}")(wrapped)
    return wrapped


json_option = click.option("--json", "as_json", is_flag=True, help="print JSON for machines instead of tables")
date_option = click.option("--date", "day", type=_DAY, default=None, help="the day (UTC); default: the newest that is over and has data")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="strategy-pipeline")
def cli() -> None:
    """A learning pipeline for crypto trading strategies that sees no future and promotes nothing by luck.

    \b
    strategy-pipeline run                                  one learning day on the built-in SAMPLE MARKET
    strategy-pipeline run --source files --data DIR        the same on your own bars
    strategy-pipeline ui                                   the Dagster UI with every run in it

    State lives in .strategy_pipeline/ (--home). Not investment advice.
    """


@cli.command(epilog="Example: strategy-pipeline run --source files --data DIR --symbols BTC/USDT,ETH/USDT --date 2025-06-29")
@date_option
@click.option("--marts/--no-marts", default=True, show_default=True, help="build the dbt marts at the end")
@json_option
@market_options
def run(settings: Settings, day: dt.datetime | None, marts: bool, as_json: bool) -> None:
    """Run one day of the learning cycle, from market data to the report."""
    from strategy_pipeline.show import day_as_json, print_day

    workspace, date = _open(settings, day)
    _announce(workspace, date, quiet=as_json)
    from strategy_pipeline.defs.run_day import run_day

    with console.Progress(quiet=as_json) as progress:
        workspace.observer = progress
        result = run_day(settings, date, marts=marts)
    if as_json:
        click.echo(day_as_json(workspace, date, progress, result.stale_days))
        return
    print_day(workspace, date, progress)
    _print_stale(result.stale_days, date)


@cli.command(epilog="Example: strategy-pipeline backfill --from 2025-06-01 --to 2025-06-29")
@click.option("--from", "first", type=_DAY, required=True, help="first day")
@click.option("--to", "last", type=_DAY, required=True, help="last day, included")
@json_option
@market_options
def backfill(settings: Settings, first: dt.datetime, last: dt.datetime, as_json: bool) -> None:
    """Run past days in order, each with what was known that day."""
    if first > last:
        raise SettingsError(f"Expected --from not after --to, was {first.date()} after {last.date()}; swap them")
    workspace, end = _open(settings, last)
    days = [first.date() + dt.timedelta(days=i) for i in range((end - first.date()).days + 1)]
    workspace.check_day(days[0], now=system_now())
    from strategy_pipeline.defs.run_day import run_days

    done: list[dict[str, Any]] = []
    stale: list[dt.date] = []
    with console.Progress(quiet=as_json) as progress:
        workspace.observer = progress
        for result in run_days(settings, days):
            stale = [day for day in result.stale_days if day > end]  # those in between are run again here
            done.append({"day": result.day.isoformat(), "runs": result.runs, "stale_days": [day.isoformat() for day in stale]})
            if not as_json:
                console.lines([f"{result.day} done ({len(done)} of {len(days)}, {progress.elapsed:.0f} s)"])
    if as_json:
        click.echo(json.dumps(done))
    else:
        _print_stale(stale, end)


@cli.command(epilog="Example: strategy-pipeline generate --count 200 --families momentum,breakout")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="how many distinct strategies")
@click.option("--families", default=None, help="comma separated; default: all that the market has data for")
@click.option(
    "--methods", default=None, help="comma separated: systematic, genetic, ml_driven, ensemble, pairs, or your own; default: systematic"
)
@json_option
@market_options
def generate(settings: Settings, count: int, families: str | None, methods: str | None, as_json: bool) -> None:
    """Generate strategies and store them."""
    from strategy_pipeline.orchestrator import Orchestrator
    from strategy_pipeline.show import print_skipped, print_strategies

    orchestrator = Orchestrator(settings)
    with console.Progress(quiet=as_json) as progress:
        orchestrator.workspace.observer = progress
        ids = asyncio.run(orchestrator.generate_new_strategies(count, _split(families), methods=_split(methods)))
    if as_json:
        click.echo(json.dumps(ids))
    else:
        print_strategies(orchestrator.workspace, ids)
        if families is None:
            print_skipped(orchestrator.workspace)


@cli.command(epilog="Example: strategy-pipeline backtest trend.txt --source files --data DIR --report trend.html")
@click.argument("strategy")
@click.option("--trades", "show_trades", is_flag=True, help="list the trades too")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), default=None, help="write the strategy's HTML page here")
@date_option
@json_option
@market_options
def backtest(settings: Settings, strategy: str, show_trades: bool, report: Path | None, day: dt.datetime | None, as_json: bool) -> None:
    """Backtest one STRATEGY: a file with its text, the text itself, or an id of the store."""
    from strategy_pipeline.show import backtest_one

    workspace, date = _open(settings, day)
    backtest_one(workspace, date, strategy, show_trades=show_trades, as_json=as_json, report=report)


@cli.command(
    epilog="Examples: strategy-pipeline optimize (the active strategies); "
    "strategy-pipeline optimize --ids 3f2a9c… --objective sharpe,calmar --sampler nsga2 --trials 128"
)
@click.option("--ids", default=None, help="comma separated strategy ids; default: the active ones")
@click.option(
    "--objective",
    default=None,
    help="what is improved: sharpe, sortino, calmar, omega or max_drawdown; several, comma separated, give a Pareto front  "
    "[default: the setting optimize_objective, else sharpe]",
)
@click.option(
    "--sampler",
    default=None,
    help="what proposes numbers: tpe, cmaes (many trials, one objective), gp (few trials, at most 1,000), nsga2 or nsga3 (several "
    "objectives)  [default: the setting optimize_sampler, else tpe, or nsga2 for several objectives]",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 10_000),
    default=None,
    help="parameter sets tried for each strategy; each counts as a trial  [default: the setting optimize_trials, else the profile's]",
)
@click.option("--prune", is_flag=True, help="run only the better half of a batch beyond the first quarter of the folds; one objective")
@json_option
@market_options
def optimize(
    settings: Settings, ids: str | None, objective: str | None, sampler: str | None, trials: int | None, prune: bool, as_json: bool
) -> None:
    """Tune strategies with Optuna on the training span; each result is a new candidate.

    What is improved is the median over purged walk-forward folds. The same request gives the same results, also when it was killed
    and asked for again; every request keeps its own documents in the container optimization_results.
    """
    from strategy_pipeline.orchestrator import Orchestrator
    from strategy_pipeline.show import tuned_table

    orchestrator = Orchestrator(settings)
    request: dict[str, Any] = {"objective": _split(objective), "sampler": sampler, "trials": trials, "prune": prune}
    with console.Progress(quiet=as_json) as progress:
        orchestrator.workspace.observer = progress
        frame = asyncio.run(orchestrator.optimize_strategies(_split(ids), **request))
    _print_frame(frame if as_json else tuned_table(frame), "optimised", as_json)
    if frame.empty and not as_json:
        console.lines(["nothing is active: name strategies of the store with --ids (see: strategy-pipeline store strategies)"])


@cli.command(epilog="Example: strategy-pipeline rank --date 2025-06-29")
@click.option("--what", type=click.Choice(["strategies", "assets"]), default="strategies", show_default=True)
@click.option("--most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="rows to print")
@date_option
@json_option
@market_options
def rank(settings: Settings, what: str, most: int, day: dt.datetime | None, as_json: bool) -> None:
    """Print the strategy leaderboard or the asset ranking of a day, running what is missing."""
    from strategy_pipeline.show import for_people, table_of

    stage = "strategy_ranking" if what == "strategies" else "asset_ranking"
    frame = table_of(*_made(settings, day, stage, as_json), stage).head(most)
    _print_frame(frame if as_json else for_people(frame, stage), stage.replace("_", " "), as_json)


@cli.command(epilog="Example: strategy-pipeline forecast --symbols BTC/USDT,ETH/USDT")
@date_option
@json_option
@market_options
def forecast(settings: Settings, day: dt.datetime | None, as_json: bool) -> None:
    """Print the newest forecasts of each symbol, running what is missing."""
    from strategy_pipeline.show import table_of

    _print_frame(table_of(*_made(settings, day, "forecasts", as_json), "forecasts"), "forecasts", as_json)


@cli.command(epilog="Example: strategy-pipeline signals --json")
@click.option("--for", "asked", default=None, help="comma separated symbols asked for, in any quote (BTC/USDC)")
@json_option
@market_options
def signals(settings: Settings, asked: str | None, as_json: bool) -> None:
    """Print the signals as of the last closed bar, running what is missing."""
    from strategy_pipeline.orchestrator import Orchestrator, as_dict
    from strategy_pipeline.show import signal_table, to_json

    orchestrator = Orchestrator(settings)
    with console.Progress(quiet=as_json) as progress:
        orchestrator.workspace.observer = progress
        found = asyncio.run(orchestrator.get_trading_signals(_split(asked)))
    if as_json:
        click.echo(to_json([as_dict(signal) for signal in found]))
    else:
        console.table(signal_table(found), "signals")


@cli.command(epilog="Example: strategy-pipeline report --days 30")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="how far back")
@json_option
@market_options
def report(settings: Settings, days: int, as_json: bool) -> None:
    """Say what the strategies of the book did, and where the HTML report is."""
    from strategy_pipeline.orchestrator import Orchestrator
    from strategy_pipeline.show import to_json

    orchestrator = Orchestrator(settings)
    with console.Progress(quiet=as_json) as progress:
        orchestrator.workspace.observer = progress
        made = asyncio.run(orchestrator.get_performance_report(days))
    if as_json:
        click.echo(to_json({"day": made.day, "html": made.html, "summary": made.summary}))
        return
    for key, value in made.summary.items():
        console.lines([f"{key.replace('_', ' '):<28} {console.cell(value)}"])
    if len(made.strategies):
        console.table(made.strategies, "strategies of the book")
    console.lines([f"report: {made.html}"])


@cli.command(
    epilog="Examples: strategy-pipeline audit lookahead --module mine.py --name body_share; strategy-pipeline audit null --markets 40"
)
@click.argument("what", type=click.Choice(["lookahead", "warmup", "null", "power"]))
@click.option("--times", type=click.IntRange(1, 1000), default=10, show_default=True, help="random moments to truncate at")
@click.option("--name", "names", multiple=True, help="only this indicator (repeat for more), and no features")
@click.option("--module", type=click.Path(exists=True, dir_okay=False), help="Python file that registers indicators of one's own")
@click.option("--markets", type=click.IntRange(1, 10_000), default=20, show_default=True, help="null, power: how many markets to make")
@click.option("--strategies", type=click.IntRange(1, 100_000), default=300, show_default=True, help="null, power: candidates a market")
@click.option("--methods", default=None, help="null, power: generators, comma separated (default: all)")
@click.option("--strength", default="1,2,3,4", show_default=True, help="power: annual Sharpe ratios to plant (0: costs eat the edge)")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="null, power: file to go on from (default: under home)")
@date_option
@json_option
@market_options
def audit(
    settings: Settings, what: str, times: int, names: tuple[str, ...], module: str | None, markets: int, strategies: int,
    methods: str | None, strength: str, journal: Path | None, day: dt.datetime | None, as_json: bool,
) -> None:  # fmt: skip
    """Prove that nothing sees the future (`lookahead`, `warmup`), and that luck is not promoted (`null`) but an edge is (`power`).

    `lookahead` takes away what came later, `warmup` what came before the bars that an indicator declares it needs, and both
    demand equal values; what has no values here is named as not judged, and the exit code is 1 when a value differs, or
    when nothing could be judged. `null` makes markets without an edge from the bars at hand, `power` plants a rule of a
    known Sharpe ratio in them; both run generation, search and selection on each and print what was promoted, with exact
    intervals. A stopped run goes on where it was.
    """
    if what in ("null", "power"):
        _audit_promotions(settings, what, markets, strategies, _split(methods), strength, journal, day, as_json)
        return
    from strategy_pipeline.indicators import spec
    from strategy_pipeline.show import run_audit

    if module is not None:
        runpy.run_path(module)
    for name in names:
        spec(name)  # an unknown one is told before anything is read
    workspace, date = _open(settings, day)
    frame = run_audit(workspace, date, what, times, names=names or None, quiet=as_json)
    # Where neither history had a number there is nothing to judge; a number that one of them lacks is a difference.
    judged = (frame["compared"] > 0) | (frame["worst"] > 0)
    failed = frame[~frame["passed"] & judged]
    if as_json:
        click.echo(frame.to_json(orient="records"))
    else:
        if len(failed):
            console.table(failed, "differ", most=100)
        for name, note in zip(frame["name"][~judged], frame["note"][~judged], strict=True):
            console.lines([f"not judged: {name} ({note})"])
        console.lines([f"{int(frame['passed'].sum())} of {int(judged.sum())} passed the {what} audit at {times} moments"])
    if len(failed) or not judged.any():
        sys.exit(1)


@cli.command("train-models", epilog="Example: strategy-pipeline train-models --date 2025-06-29")
@date_option
@market_options
def train_models(settings: Settings, day: dt.datetime | None) -> None:
    """Train the regime, volatility and return models with this cutoff day, on data strictly before it."""
    _train(settings, day, ["regime_model", "volatility_models", "forecaster"])


@cli.command("train-agents", epilog="Example: strategy-pipeline train-agents --date 2025-06-29")
@date_option
@market_options
def train_agents(settings: Settings, day: dt.datetime | None) -> None:
    """Train the agents (DQN, PPO, SAC) with this cutoff day, on data strictly before it."""
    _train(settings, day, ["rl_agents"])


@cli.command(epilog="Example: strategy-pipeline watch --every 300")
@click.option("--every", type=click.IntRange(1, 86_400), default=60, show_default=True, help="seconds between looks")
@click.option("--times", type=click.IntRange(1), default=None, help="stop after so many looks; default: until Ctrl-C")
@market_options
def watch(settings: Settings, every: int, times: int | None) -> None:
    """Print the signals again whenever a day has closed."""
    import time

    from strategy_pipeline.orchestrator import Orchestrator
    from strategy_pipeline.show import signal_table

    orchestrator = Orchestrator(settings)
    shown: dt.date | None = None
    looks = 0
    while times is None or looks < times:
        day = orchestrator.workspace.last_day(now=system_now())
        if day != shown:
            with console.Progress() as progress:
                orchestrator.workspace.observer = progress
                found = asyncio.run(orchestrator.get_trading_signals())
            console.table(signal_table(found), f"signals after {day}")
            shown = day
        looks += 1
        if times is None or looks < times:
            time.sleep(every)


@cli.command(epilog="Example: strategy-pipeline serve --port 8080; then: curl localhost:8080/signals")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True)
@market_options
def serve(settings: Settings, host: str, port: int) -> None:
    """Serve signals, reports and generation over HTTP (no authentication: keep it on loopback)."""
    import uvicorn

    from strategy_pipeline.orchestrator import Orchestrator
    from strategy_pipeline.service import app

    uvicorn.run(app(Orchestrator(settings)), host=host, port=port, log_level=settings.log_level.lower())


@cli.command(epilog="Examples: strategy-pipeline store; strategy-pipeline store strategies --most 5")
@click.argument("container", required=False)
@click.option("--most", type=click.IntRange(1, 100_000), default=10, show_default=True, help="documents to print")
@json_option
@market_options
def store(settings: Settings, container: str | None, most: int, as_json: bool) -> None:
    """Count the documents of each container, or print some of one."""
    from strategy_pipeline.show import print_container, print_containers

    workspace, _ = _open(settings, None, need_day=False)
    if container is None:
        print_containers(workspace, as_json=as_json)
    else:
        print_container(workspace, container, most, as_json=as_json)


@cli.group(invoke_without_command=False)
def config() -> None:
    """Settings."""


@config.command("show", epilog="Example: STRATEGY_PIPELINE_PROFILE=tiny strategy-pipeline config show")
@json_option
@market_options
def config_show(settings: Settings, as_json: bool) -> None:
    """Print each setting with where its value came from."""
    origins = settings.origins()
    values = settings.model_dump(mode="json")
    if as_json:
        click.echo(json.dumps({key: {"value": values[key], "from": origins[key]} for key in values}))
        return
    for key, value in values.items():
        text = ",".join(value) if isinstance(value, list) else value
        console.lines([f"{key:<22} {'–' if text in (None, '') else text!s:<28} ({origins[key]})"])


@cli.command(epilog="Example: strategy-pipeline ui --port 3001")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True)
@market_options
def ui(settings: Settings, host: str, port: int) -> None:
    """Open the Dagster UI on this home, with every run in it, its schedule and sensor."""
    from strategy_pipeline.defs.ui import serve_ui

    serve_ui(settings, host, port)


@cli.command(epilog="Example: strategy-pipeline doctor --source files --data DIR")
@json_option
@market_options
def doctor(settings: Settings, as_json: bool) -> None:
    """Check the installation and the state folder, and say what to fix. Exit code 1 when something must be fixed."""
    from strategy_pipeline.diagnosis import diagnose

    findings = diagnose(settings)
    if as_json:
        click.echo(json.dumps([{"what": f.what, "ok": f.ok, "detail": f.detail, "remedy": f.remedy} for f in findings]))
    else:
        for f in findings:
            mark = "[green]✓[/]" if f.ok else ("[yellow]·[/]" if f.optional else "[red]✗[/]")
            console.out.print(f" {mark} {f.what:<26} {f.detail}" + (f"\n     fix: {f.remedy}" if f.remedy and not f.ok else ""))
    if any(not f.ok and not f.optional for f in findings):
        sys.exit(1)


def _audit_promotions(
    settings: Settings, what: str, markets: int, strategies: int, methods: list[str] | None, strength: str, journal: Path | None,
    day: dt.datetime | None, as_json: bool,
) -> None:  # fmt: skip
    from strategy_pipeline.audit import check_promotions
    from strategy_pipeline.show import run_promotion_audit

    try:
        strengths = tuple(float(part) for part in _split(strength) or [])
    except ValueError:
        raise SettingsError(f"Expected --strength as numbers, was {strength!r}; write 1,2,3,4") from None
    check_promotions(what, markets, strategies, strengths, methods)  # before anything runs
    workspace, date = _open(settings, day)
    found = run_promotion_audit(workspace, date, what, markets, strategies, strengths, methods, journal, quiet=as_json)
    if as_json:
        click.echo(json.dumps(found.to_json()))
        return
    console.table(found.table, f"{what} audit", most=len(found.table))
    if what == "power":
        console.table(found.kinds, "by kind of planted rule", most=len(found.kinds))
    console.lines([found.summary])


def _open(settings: Settings, day: dt.datetime | None, *, need_day: bool = True) -> tuple[Any, dt.date]:
    """The workspace and the day, checked before anything is written."""
    from strategy_pipeline.defs.resources import shared_workspace

    workspace = shared_workspace(settings)
    now = system_now()
    if not need_day:
        return workspace, now.date()
    if day is not None and day.date() >= now.date():
        workspace.check_day(day.date(), now=now)
    workspace.check_symbols()
    date = day.date() if day is not None else workspace.last_day(now=now)
    workspace.check_day(date, now=now)
    workspace.check_source(date)
    return workspace, date


def _announce(workspace: Any, day: dt.date, *, quiet: bool) -> None:
    if quiet:
        return
    if workspace.source.simulated:
        console.out.print("[bold yellow]SAMPLE MARKET[/]: simulated prices with a few planted edges, not a real market")
    settings = workspace.settings
    symbols = ", ".join(workspace.symbols[:6]) + (f" and {len(workspace.symbols) - 6} more" if len(workspace.symbols) > 6 else "")
    console.lines([f"{day}  {symbols}  {settings.timeframe}  from {workspace.start(day).date()}  profile {settings.profile}"])
    console.lines(f"note: {note}" for note in workspace.source.notes())


def _print_stale(days: Sequence[dt.date], day: dt.date) -> None:
    for stale in days:
        console.lines([f"note: {stale} was built on what {day} was before; run it again: strategy-pipeline run --date {stale}"])


def _made(settings: Settings, day: dt.datetime | None, stage: str, quiet: bool) -> tuple[Any, dt.date]:
    from strategy_pipeline.cycle import run_missing

    workspace, date = _open(settings, day)
    with console.Progress(quiet=quiet) as progress:
        workspace.observer = progress
        run_missing(workspace, stage, date)
    return workspace, date


def _train(settings: Settings, day: dt.datetime | None, stages: list[str]) -> None:
    from strategy_pipeline.cycle import ingest_history, run_stage

    workspace, date = _open(settings, day)
    with console.Progress() as progress:
        workspace.observer = progress
        ingest_history(workspace, date)
        for stage in stages:
            run_stage(workspace, stage, date)


def _print_frame(frame: Any, title: str, as_json: bool) -> None:
    if as_json:
        click.echo(frame.to_json(orient="records", date_format="iso"))
    else:
        console.table(frame, title, most=len(frame) or 1)


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


if __name__ == "__main__":
    sys.argv[0] = str(Path(sys.argv[0]).name)
    main()
