with served as (
    select
        recommendation_id,
        place_id
    from {{ ref('stg_recommendations') }}
    where is_time_plausible
),

judged as (
    select
        recommendation_id,
        place_id
    from {{ ref('fact_recommendations') }}
)

select
    coalesce(served.recommendation_id, judged.recommendation_id) as recommendation_id,
    coalesce(served.place_id, judged.place_id) as place_id
from served
full outer join judged
    on served.recommendation_id = judged.recommendation_id
    and served.place_id = judged.place_id
where served.place_id is null or judged.place_id is null
