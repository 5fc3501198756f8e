-- The tables of the operational database that the simulator keeps. There are no foreign keys
-- between services' tables, as in the real one: each is written by a service of its own.

create table if not exists users (
    id bigint primary key,
    email text,
    full_name text,
    phone text,
    country text,
    city text,
    segment text,
    marketing_consent boolean not null,
    location_consent boolean not null,
    deleted_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table if not exists products (
    id bigint primary key,
    name text not null,
    category text,
    brand text,
    price_cents bigint not null,
    stock bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table if not exists orders (
    id bigint primary key,
    user_id bigint not null,
    status text not null,
    currency text not null,
    total_amount_cents bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table if not exists order_items (
    id bigint primary key,
    order_id bigint not null,
    product_id bigint not null,
    quantity bigint not null,
    unit_price_cents bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table if not exists bookings (
    id bigint primary key,
    user_id bigint not null,
    place_id text not null,
    status text not null,
    check_in date not null,
    check_out date not null,
    guests bigint not null,
    currency text not null,
    total_amount_cents bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table if not exists payments (
    id bigint primary key,
    order_id bigint,
    booking_id bigint,
    charge_id text,
    amount_cents bigint not null,
    status text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- extraction asks for what changed since a time
create index if not exists users_updated_at on users (updated_at);
create index if not exists products_updated_at on products (updated_at);
create index if not exists orders_updated_at on orders (updated_at);
create index if not exists order_items_updated_at on order_items (updated_at);
create index if not exists bookings_updated_at on bookings (updated_at);
create index if not exists payments_updated_at on payments (updated_at);
