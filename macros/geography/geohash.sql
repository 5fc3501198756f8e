{#- The geohash of a position (degrees, WGS 84), `precision` characters long (1 to 12; 7 is a cell of
    about 150 m); null where either coordinate is null or out of range. -#}
{% macro geohash(latitude, longitude, precision) -%}
    {{ return(adapter.dispatch('geohash')(latitude, longitude, precision)) }}
{%- endmacro %}

{#- A geohash interleaves the bits of the cell's column (longitude) and row (latitude), five bits a
    character, beginning with the column. So a character takes three bits of one and two of the
    other, in turns; its 32 letters are listed here by (three bits, two bits), which spares
    interleaving in SQL. -#}
{% macro duckdb__geohash(latitude, longitude, precision) -%}
    {%- set alphabet = '0123456789bcdefghjkmnpqrstuvwxyz' -%}
    {%- set letters = [] -%}
    {%- for three in range(8) -%}
        {%- for two in range(4) -%}
            {%- set bits = (three // 4) * 16 + (two // 2) * 8
                + (three // 2 % 2) * 4 + (two % 2) * 2 + three % 2 -%}
            {%- do letters.append(alphabet[bits]) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set column_bits = (5 * precision + 1) // 2 -%}
    {%- set row_bits = 5 * precision // 2 -%}
    {%- set column = grid_index(longitude, 180, column_bits) -%}
    {%- set row = grid_index(latitude, 90, row_bits) -%}
    case
        when {{ latitude }} between -90 and 90 and {{ longitude }} between -180 and 180
            then concat(
            {%- for index in range(precision) %}
                {%- set column_shift = column_bits - (5 * (index + 1) + 1) // 2 -%}
                {%- set row_shift = row_bits - 5 * (index + 1) // 2 -%}
                {%- set column_is_first = index % 2 == 0 -%}
                {%- set three = ((column, column_shift) if column_is_first else (row, row_shift)) -%}
                {%- set two = ((row, row_shift) if column_is_first else (column, column_shift)) %}
                substr('{{ letters | join }}', cast(
                    (({{ three[0] }} >> {{ three[1] }}) & 7) * 4
                    + (({{ two[0] }} >> {{ two[1] }}) & 3) + 1 as bigint
                ), 1)
                {{- ',' if not loop.last }}
            {%- endfor %}
            )
    end
{%- endmacro %}

{% macro snowflake__geohash(latitude, longitude, precision) -%}
    case
        when {{ latitude }} between -90 and 90 and {{ longitude }} between -180 and 180
            then st_geohash(st_makepoint({{ longitude }}, {{ latitude }}), {{ precision }})
    end
{%- endmacro %}
