select
    cast(day at time zone 'UTC' as date) as day,
    cast(rank as bigint) as rank,
    strategy_id,
    family,
    text,
    state,
    cast(sharpe_train as double) as sharpe_train,
    cast(sharpe_validation as double) as sharpe_validation,
    cast(t_stat as double) as t_stat,
    cast(dsr as double) as dsr,
    cast(pbo as double) as pbo,
    cast(gross_p as double) as gross_p,
    cast(stepm_p as double) as stepm_p,
    verdict,
    cast(trades as bigint) as trades
from {{ source('lake', 'leaderboard') }}
