-- Which place is the nearest is worked out once for each cell of the grid that geohashes of seven
-- characters are made of, not for each event. It depends on places alone, and is built anew.
{%- set reach_meters = var('nearest_place_meters', 1000) %}
{%- set cell_meters = 152.7 %}
{%- set most_columns = 40 %}

with places as (
    select
        place_id,
        category,
        city,
        latitude,
        longitude,
        loaded_at,
        {{ grid_index('latitude', 90, 17) }} as place_row,
        {{ grid_index('longitude', 180, 18) }} as place_column,
        {{ (reach_meters / cell_meters) | round(0, 'ceil') | int }} as rows_in_reach,
        -- the meridians draw together towards the poles, and the columns with them
        ceil({{ reach_meters / cell_meters }} / greatest(cos(radians(latitude)), 0.01)) + 1
            as columns_in_reach
    from {{ ref('stg_places') }}
    where not is_closed and latitude is not null
),

steps as (
    {{ numbers(-most_columns, most_columns) }}
),

cells_around as (
    select
        places.*,
        places.place_row + row_steps.number as cell_row,
        -- round the world at the 180th meridian
        mod(places.place_column + column_steps.number + {{ 2 ** 18 }}, {{ 2 ** 18 }}) as cell_column
    from places
    inner join steps as row_steps
        on row_steps.number between -places.rows_in_reach and places.rows_in_reach
    inner join steps as column_steps
        on column_steps.number between -places.columns_in_reach and places.columns_in_reach
    where places.place_row + row_steps.number between 0 and {{ 2 ** 17 - 1 }}
),

centred as (
    select
        *,
        {{ grid_centre('cell_row', 90, 17) }} as centre_latitude,
        {{ grid_centre('cell_column', 180, 18) }} as centre_longitude
    from cells_around
),

measured as (
    select
        *,
        {{ haversine_meters('latitude', 'longitude', 'centre_latitude', 'centre_longitude') }} as meters
    from centred
),

nearest as (
    select * from measured
    where meters <= {{ reach_meters }}
    qualify row_number() over (
        partition by cell_row, cell_column
        order by meters, place_id
    ) = 1
),

named as (
    select
        {{ geohash('centre_latitude', 'centre_longitude', 7) }} as geohash,
        place_id,
        category,
        city,
        cast(meters as double) as meters,
        loaded_at
    from nearest
)

select * from named
