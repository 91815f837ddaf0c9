-- Fails with every strategy that a day lists twice.
select day, strategy_id, count(*) as times
from {{ ref('stg_leaderboard') }}
group by day, strategy_id
having count(*) > 1
