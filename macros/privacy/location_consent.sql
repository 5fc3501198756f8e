{#- Events of `events` (a relation with `user_id` and `geohash`) with what their people say of location
    tracking: `has_location_consent` is whether they agree, as far as accounts are known by now, and
    `known_geohash` the cell that the event was in; null where the account says no. -#}
{% macro with_location_consent(events) -%}
    select
        events.*,
        coalesce(people.location_consent, false) as has_location_consent,
        case when coalesce(people.location_consent, true) then events.geohash end as known_geohash
    from {{ events }} as events
    left join {{ ref('stg_users') }} as people on events.user_id = people.user_id
{%- endmacro %}

{#- The cell of an event in staging, if its person agrees to location tracking; null otherwise. Nothing
    beyond staging shows or computes with another cell than this one. `event` is the name of a
    relation with `geohash` and `has_location_consent`. -#}
{% macro consented_geohash(event) -%}
    case when {{ event }}.has_location_consent then {{ event }}.geohash end
{%- endmacro %}

{#- Whose rows an incremental model has to compute again, since they agreed or withdrew after it last
    did: `user_id`, and `has_agreed`. `cell` is the model's column that shows where somebody was.

    Who withdrew is told by what the model still shows, whenever it was: that never waits for a load
    to be noticed. Who agreed has a newly loaded account and rows here, none of them with a cell. -#}
{% macro people_of_changed_consent(cell) -%}
    {%- if is_incremental() %}
    select distinct
        user_id,
        false as has_agreed
    from {{ this }}
    where {{ cell }} is not null
        and user_id not in (select user_id from {{ ref('stg_users') }} where location_consent)

    union all

    select
        user_id,
        true as has_agreed
    from {{ ref('stg_users') }}
    where location_consent
        and {{ is_new('loaded_at') }}
        and user_id in (select user_id from {{ this }} group by user_id having count({{ cell }}) = 0)
    {%- else %}
    select
        user_id,
        location_consent as has_agreed
    from {{ ref('stg_users') }}
    where false
    {%- endif %}
{%- endmacro %}
