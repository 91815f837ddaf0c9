"""Candidates, their backtests, the tuned best, the evidence, and the book they enter."""

from strategy_pipeline.defs.materialize import stage_asset

strategy_population = stage_asset("strategy_population")
backtests = stage_asset("backtests")
optimization_results = stage_asset("optimization_results")
evidence = stage_asset("evidence")
performance_review = stage_asset("performance_review")
strategy_book = stage_asset("strategy_book")

ASSETS = [strategy_population, backtests, optimization_results, evidence, performance_review, strategy_book]
