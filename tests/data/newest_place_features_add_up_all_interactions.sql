with newest as (
    select * from {{ ref('place_features') }}
    qualify row_number() over (partition by place_id order by day desc) = 1
),

staged as (
    select
        place_id,
        sum(case when interaction_type = 'place_view' then 1 else 0 end) as views,
        sum(case when interaction_type = 'visit' then 1 else 0 end) as visits,
        count(rating) as ratings
    from {{ ref('stg_user_interactions') }}
    where is_time_plausible
    group by place_id
)

select
    staged.place_id,
    newest.views,
    staged.views as staged_views,
    newest.visits,
    staged.visits as staged_visits,
    newest.ratings,
    staged.ratings as staged_ratings
from staged
left join newest on staged.place_id = newest.place_id
where newest.place_id is null
    or newest.views <> staged.views
    or newest.visits <> staged.visits
    or newest.ratings <> staged.ratings
