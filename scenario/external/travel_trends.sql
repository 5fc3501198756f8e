-- How much people search for kinds of travel, by part of the world, every hour.
select
    'travel_trends' as source,
    'simulator' as source_type,
    hash('trend', category, region, slot) as fetch_key,
    later(slot_start, 10) as happened_at,
    to_json({
        'category': category,
        'region': region,
        'metrics': {
            'search_index': round(
                50 + 25 * rhythm(slot_start) + wobble('trend', hash(category, region), slot) * 20, 1
            ),
            'booking_index': round(40 + wobble('trend booked', hash(category, region), slot) * 20, 1)
        }
    }) as data
from slots(3600, play.reach() - interval 1 hour, play.until())
cross join (select unnest(['city', 'beach', 'mountains', 'culture']) as category)
cross join (select unnest(['Europe', 'Asia', 'North America']) as region)
where is_kept('trend', hash(category, region, slot), slot_start)
