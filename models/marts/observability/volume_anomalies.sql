{%- set window = 35 -%}  {#- days: what is judged, and what each day is judged by -#}
{%- set least_history = 21 -%}  {#- three of each weekday -#}
{%- set deviations = var('volume_deviations', 3.5) -%}

with today as (
    select {{ utc_day(as_of()) }} as today
),

-- rows that move to another day with each change say nothing of how many came
tables as (
    select table_name from {{ ref('contracted_tables') }}
    where is_counted and (is_day_of_event or only_grows)
),

counted as (
    select counted.*
    from {{ ref('rows_checked_daily') }} as counted
    inner join tables on counted.table_name = tables.table_name
    cross join today
    where counted.data_day > {{ dbt.dateadd('day', -2 * window, 'today.today') }}
        and counted.data_day <= today.today
),

known as (
    select table_name, min(data_day) as first_day, max(loaded_at) as loaded_at
    from counted
    group by table_name
),

-- a day without rows has none in the table, and is what matters most
days as (
    select
        known.table_name,
        {{ utc_day(dbt.dateadd('day', '-numbers.n', 'today.today')) }} as data_day,
        known.loaded_at
    from known
    cross join today
    cross join ({{ numbers_below(2 * window) }}) as numbers
    where {{ dbt.dateadd('day', '-numbers.n', 'today.today') }} >= known.first_day
),

-- what grows and scatters does so by shares, so sizes are compared as logarithms
sizes as (
    select
        days.table_name,
        days.data_day,
        coalesce(counted.row_count, 0) as row_count,
        coalesce(counted.loaded_at, days.loaded_at) as loaded_at,
        ln(cast(coalesce(counted.row_count, 0) + 1 as double)) as size
    from days
    left join counted
        on days.table_name = counted.table_name and days.data_day = counted.data_day
),

-- over whole weeks, so that the weekday drops out
rises as (
    select
        table_name,
        data_day,
        size - lag(size, 7) over (partition by table_name order by data_day) as in_a_week,
        {% for span in (14, 21, 28) -%}
        (size - lag(size, {{ span }}) over (partition by table_name order by data_day)) / {{ span }}
            as rise_{{ span }} {{- ',' if not loop.last }}
        {% endfor %}
    from sizes
),

judged as (
    select sizes.* from sizes
    cross join today
    where sizes.data_day > {{ dbt.dateadd('day', -window, 'today.today') }}
),

slopes as (
    {% for span in (14, 21, 28) -%}
    select judged.table_name, judged.data_day, rises.rise_{{ span }} as slope
    from judged
    inner join rises
        on judged.table_name = rises.table_name
        and rises.data_day < judged.data_day
        and rises.data_day >= {{ dbt.dateadd('day', span - window, 'judged.data_day') }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

-- medians throughout: a holiday or an outage in the history moves none of them
trends as (
    select table_name, data_day, percentile_cont(0.5) within group (order by slope) as slope
    from slopes
    group by table_name, data_day
),

-- the history as it would be at the height of the day that is judged
history as (
    select
        judged.table_name,
        judged.data_day,
        mod({{ dbt.datediff('past.data_day', 'judged.data_day', 'day') }}, 7) as weekday_distance,
        past.size + coalesce(trends.slope, 0)
            * {{ dbt.datediff('past.data_day', 'judged.data_day', 'day') }} as size
    from judged
    inner join sizes as past
        on judged.table_name = past.table_name
        and past.data_day < judged.data_day
        and past.data_day >= {{ dbt.dateadd('day', -window, 'judged.data_day') }}
    left join trends
        on judged.table_name = trends.table_name and judged.data_day = trends.data_day
),

-- what is usual on the weekday of the day that is judged
usual as (
    select
        table_name,
        data_day,
        percentile_cont(0.5) within group (order by case when weekday_distance = 0 then size end)
            as usual_size,
        count(*) as days
    from history
    group by table_name, data_day
),

-- from one week to the next, so that neither weekday nor trend count as scatter
scatters as (
    select
        judged.table_name,
        judged.data_day,
        -- of normal deviations' differences the median is 0.954 standard deviations
        percentile_cont(0.5) within group (
            order by abs(rises.in_a_week - 7 * coalesce(trends.slope, 0))
        ) / 0.954 as scatter
    from judged
    inner join rises
        on judged.table_name = rises.table_name
        and rises.data_day < judged.data_day
        and rises.data_day >= {{ dbt.dateadd('day', 7 - window, 'judged.data_day') }}
    left join trends
        on judged.table_name = trends.table_name and judged.data_day = trends.data_day
    group by judged.table_name, judged.data_day
),

expected as (
    select
        judged.table_name,
        judged.data_day,
        judged.row_count,
        judged.size,
        judged.loaded_at,
        coalesce(usual.days, 0) as days_of_history,
        case when usual.days >= {{ least_history }} then usual.usual_size end as usual_size,
        -- of small numbers at least what chance makes of them
        greatest(
            coalesce(scatters.scatter, 0),
            coalesce(1 / sqrt(exp(usual.usual_size)), 0),
            {{ var('volume_least_scatter', 0.05) }}
        ) as scatter
    from judged
    left join usual
        on judged.table_name = usual.table_name and judged.data_day = usual.data_day
    left join scatters
        on judged.table_name = scatters.table_name and judged.data_day = scatters.data_day
),

ranges as (
    select
        *,
        {{ rows_of_size('usual_size') }} as expected_rows,
        floor({{ rows_of_size('usual_size - ' ~ deviations ~ ' * scatter') }}) as lower_bound,
        ceil({{ rows_of_size('usual_size + ' ~ deviations ~ ' * scatter') }}) as upper_bound,
        (size - usual_size) / scatter as deviation
    from expected
),

final as (
    select
        ranges.table_name,
        ranges.data_day,
        cast(ranges.row_count as bigint) as row_count,
        cast(ranges.expected_rows as decimal(18,2)) as expected_rows,
        cast(ranges.lower_bound as bigint) as lower_bound,
        cast(ranges.upper_bound as bigint) as upper_bound,
        cast(ranges.deviation as decimal(18,2)) as deviation,
        cast(ranges.days_of_history as bigint) as days_of_history,
        case
            when ranges.usual_size is null then 'too_little_history'
            when ranges.row_count > ranges.upper_bound then 'spike'
            when ranges.data_day = today.today then 'day_not_over'
            when ranges.row_count < ranges.lower_bound then 'drop'
            else 'normal'
        end as verdict,
        ranges.loaded_at
    from ranges
    cross join today
)

select * from final
