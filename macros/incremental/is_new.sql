{#- Whether a row was loaded since this incremental model last ran; true for every row in a full
    build. `column` is the load time of the input; `watermark` is this model's own.

    Load times strictly increase from one load transaction to the next, so nothing that was loaded
    later can have an older one. Where loads overlap (several writers on Snowflake), the variable
    `load_overlap_minutes` looks that far back; the models are written so that looking at a row
    again changes nothing. -#}
{% macro is_new(column='_loaded_at', watermark='loaded_at') -%}
    {%- if is_incremental() -%}
        {{ column }} > (
            select coalesce({{ watermark_less_overlap('max(' ~ watermark ~ ')') }}, cast('1900-01-01' as timestamp))
            from {{ this }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{% macro watermark_less_overlap(watermark) -%}
    {%- set overlap = var('load_overlap_minutes', 0) | int -%}
    {{ dbt.dateadd('minute', -overlap, watermark) if overlap else watermark }}
{%- endmacro %}
