"""The daily cycle, after the UTC close."""

import datetime as dt

import dagster as dg

from strategy_pipeline.defs.learning_day import learning_day


@dg.schedule(
    job=learning_day,
    cron_schedule="10 0 * * *",
    execution_timezone="UTC",
    description="Ten minutes after midnight UTC: the day that has just closed.",
)
def daily_cycle(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    day = (context.scheduled_execution_time - dt.timedelta(days=1)).date().isoformat()
    return dg.RunRequest(run_key=day, partition_key=day)
