{#- Metres between two positions (degrees) along the surface of a sphere of the Earth's mean radius;
    within 0.5% of the true distance. -#}
{% macro haversine_meters(latitude_1, longitude_1, latitude_2, longitude_2) -%}
    2 * 6371008.8e0 * asin(sqrt(least(
        1.0e0,
        power(sin(radians({{ latitude_2 }} - {{ latitude_1 }}) / 2), 2)
        + cos(radians({{ latitude_1 }})) * cos(radians({{ latitude_2 }}))
        * power(sin(radians({{ longitude_2 }} - {{ longitude_1 }}) / 2), 2)
    )))
{%- endmacro %}
