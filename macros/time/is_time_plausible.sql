{#- Whether an event's own time can be true, given when it arrived: not before 1980 (a clock that
    was never set shows 1970; records of the nineties are real) and not later than its arrival by
    more than a clock may be off (`clock_tolerance_minutes`, 5). Both are facts of the row, so the
    answer never changes. -#}
{% macro is_time_plausible(happened_at, arrived_at) -%}
    coalesce(
        {{ happened_at }} >= cast('1980-01-01' as timestamp)
        and {{ happened_at }} <= {{ dbt.dateadd(
            'minute', var('clock_tolerance_minutes', 5), arrived_at
        ) }},
        false
    )
{%- endmacro %}
