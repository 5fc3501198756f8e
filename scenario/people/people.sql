-- Everybody who has registered by the end of the play. Some leave again (`deleted_at`), and of
-- some who left the row is erased later (`gone_at`): never of somebody who registered in the
-- period, and not before the first play's end, so that every buyer was in the database once.
with registered as (
    select
        user_id,
        case
            when user_id <= base_users()
                then later(play.start(), -chance('registered', user_id) * 86400 * 700)
            else later(
                play.start(),
                (user_id - base_users() - 0.5 * chance('registered', user_id))
                / users_per_hour() * 3600
            )
        end as registered_at
    from range(1, users_at(play.until()) + 1) as numbers(user_id)
),

left_again as (
    select
        *,
        later(
            greatest(registered_at, play.start()),
            -ln(1 - chance('leaves', user_id)) * setting.days_of_membership() * 86400
        ) as deleted_at
    from registered
),

erased as (
    select
        *,
        case
            when user_id <= base_users() and chance('is erased', user_id) < 0.3
                then later(
                    greatest(deleted_at + interval 14 days, play.opened()),
                    chance('erased', user_id) * 86400 * 5
                )
        end as gone_at
    from left_again
)

select
    user_id,
    registered_at,
    deleted_at,
    gone_at,
    pick('first name', user_id, [
        'Ada', 'Aiko', 'Amir', 'Ana', 'Anton', 'Beatriz', 'Carlos', 'Chloé', 'Daan', 'Elif',
        'Emma', 'Farid', 'Freya', 'Giulia', 'Hana', 'Hugo', 'Ines', 'Ivan', 'Jonas', 'Julia',
        'Kenji', 'Lars', 'Léa', 'Liam', 'Lucía', 'Maja', 'Marco', 'Mei', 'Mia', 'Noah', 'Nora',
        'Oliver', 'Olivia', 'Paulo', 'Priya', 'Ravi', 'Sofia', 'Tomás', 'Yuki', 'Zoë'
    ]) as first_name,
    pick('last name', user_id, [
        'Almeida', 'Andersen', 'Becker', 'Bianchi', 'Brown', 'Chen', 'Costa', 'Dubois', 'Evans',
        'Fischer', 'García', 'Gupta', 'Hansen', 'Ito', 'Jansen', 'Jones', 'Kaya', 'Kim',
        'Kowalski', 'Larsen', 'López', 'Martin', 'Meyer', 'Moreau', 'Müller', 'Nguyen', 'Novák',
        'O''Brien', 'Okafor', 'Patel', 'Rossi', 'Sato', 'Schmidt', 'Silva', 'Smith', 'Svensson',
        'Tan', 'Wang', 'Weber', 'Yilmaz'
    ]) as last_name,
    pick('device', user_id, ['ios', 'android', 'android', 'ios', 'tablet']) as phone_type
from erased
