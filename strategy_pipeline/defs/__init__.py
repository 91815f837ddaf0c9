"""The Dagster layer: assets, checks, jobs, schedules, sensors, partitions, resources, `run_day`.

What belongs here: declarations, and the few lines that turn a stage's report into metadata. What does
not: maths, reading or writing of data, decisions. Those are stages, in `strategy_pipeline.cycle`, which
a service can call without Dagster. `build_defs(settings, resource_overrides)` makes fresh definitions.
"""
