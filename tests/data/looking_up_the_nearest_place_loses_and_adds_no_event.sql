with counted as (
    select
        'stg_user_interactions' as view_name,
        (select count(*) from {{ ref('base_user_interactions') }}) as before_lookup,
        (select count(event_id) from {{ ref('stg_user_interactions') }}) as after_lookup
    union all
    select
        'stg_location_events' as view_name,
        (
            -- positions of who says no are left out
            select count(*)
            from {{ ref('base_location_events') }} as positions
            left join {{ ref('stg_users') }} as people on positions.user_id = people.user_id
            where coalesce(people.location_consent, true)
        ) as before_lookup,
        (select count(event_id) from {{ ref('stg_location_events') }}) as after_lookup
    union all
    select
        'stg_recommendations' as view_name,
        (select count(*) from {{ ref('base_recommendations') }}) as before_lookup,
        (select count(recommendation_id) from {{ ref('stg_recommendations') }}) as after_lookup
)

select * from counted
where before_lookup <> after_lookup
