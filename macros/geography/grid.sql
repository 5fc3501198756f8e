{#- Which of 2^bits equal parts of -limit .. +limit a coordinate falls into, counted from 0 at -limit;
    the last part includes +limit. With limit 90 and 180 these are the rows and columns of the grid
    that geohashes are made of. -#}
{% macro grid_index(coordinate, limit, bits) -%}
    cast(least(
        floor(({{ coordinate }} + {{ limit }}) * {{ 2 ** bits / (2 * limit) }}), {{ 2 ** bits - 1 }}
    ) as bigint)
{%- endmacro %}

{#- The middle of a part, in degrees: the inverse of grid_index. -#}
{% macro grid_centre(index, limit, bits) -%}
    (({{ index }} + 0.5e0) * {{ 2 * limit / 2 ** bits }} - {{ limit }})
{%- endmacro %}
