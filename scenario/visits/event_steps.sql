-- The steps as the apps report them, with the page that they happen on and what is paid. A payment
-- that was declined is no payment: the person tries again later, or gives up.
with buying as (
    -- what is bought concerns the last steps only
    select *, case when steps_left <= 2 then visit_id end as buying_visit_id
    from steps
),

typed as (
    select
        buying.* exclude (buying_visit_id),
        bookings_made.booking_id,
        orders_made.order_id,
        coalesce(bookings_made.total_amount, orders_made.total_amount) as amount,
        coalesce(bookings_made.is_declined, orders_made.is_declined, false) as is_declined
    from buying
    left join bookings_made on buying.buying_visit_id = bookings_made.visit_id
    left join orders_made on buying.buying_visit_id = orders_made.visit_id
)

select
    * exclude (step_type),
    case
        when step_type = 'payment_completed' and is_declined then 'click'
        else step_type
    end as event_type,
    case
        when step = 0 then '/home'
        when outcome = 'order' then
            case
                when steps_left <= 3 then '/cart'
                else '/shop/' || product_category(whole('seen product', step_key, 1, 8))
            end
        when step_type in ('search', 'filter_applied') then '/search'
        when steps_left <= 3 and outcome in ('book', 'abandon') then '/checkout'
        when step_type in ('booking_view', 'click_cta', 'share_link')
            then '/places/' || place_id(place)
        when what < 0.2 then '/search'
        when what < 0.38 then '/places/' || place_id(place)
        when what < 0.44 then '/deals'
        when what < 0.65 then '/places/' || place_id(place)
        else '/search'
    end as page,
    -- slower when it is busy, and now and then much slower
    round(
        18 + 55 * chance('processing', step_key) * (0.6 + rhythm(happened_at))
        + case
            when chance('is slow', step_key) < 0.02 then 900 * chance('slow', step_key)
            else 0
        end,
        1
    )::decimal(9, 1) as processing_ms
from typed
