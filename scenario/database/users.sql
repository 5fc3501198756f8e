-- Users whose row changed in the play.
with newest as (
    select
        user_id,
        arg_max(operation, happened_at) as operation,
        coalesce(max(happened_at) filter (operation <> 'DELETE'), max(before_at)) as happened_at
    from user_moments
    group by user_id
)

select
    user_states.*,
    newest.operation = 'DELETE' as _gone
from newest
inner join user_states
    on newest.user_id = user_states.id
    and newest.happened_at = user_states.updated_at
