with days as (
    select *, row_number() over (partition by strategy_id order by day desc) as days_back
    from {{ ref('stg_leaderboard') }}
),

history as (
    select
        strategy_id,
        min(day) as first_seen,
        max(day) as last_seen,
        count(*) as days_on_board,
        min(rank) as best_rank,
        count(*) filter (where verdict = 'promoted') as days_promoted
    from days
    group by strategy_id
)

select
    history.strategy_id,
    latest.family,
    latest.text,
    history.first_seen,
    history.last_seen,
    history.days_on_board,
    history.best_rank,
    latest.rank as latest_rank,
    history.days_promoted,
    latest.state as latest_state,
    latest.verdict as latest_verdict,
    latest.sharpe_train,
    latest.sharpe_validation,
    latest.t_stat,
    latest.dsr,
    latest.pbo,
    latest.gross_p,
    latest.stepm_p,
    latest.trades
from history
inner join days as latest on latest.strategy_id = history.strategy_id and latest.days_back = 1
order by history.last_seen desc, latest_rank, history.strategy_id
