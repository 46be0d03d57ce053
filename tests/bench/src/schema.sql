create table stock (
  id int primary key, available bigint not null, reserved bigint not null default 0, version bigint not null default 0
) with (fillfactor = 70);
create table hold (hold_id uuid primary key, row_id int, qty bigint, status smallint, expires_at timestamptz);
create table movement (
  seq bigserial primary key, row_id int, qty bigint, available bigint, reserved bigint, at timestamptz default now()
);
create function reserve(r int, q bigint) returns uuid language plpgsql as $$
declare
  h uuid := gen_random_uuid();
  a bigint;
  v bigint;
begin
  update stock set available = available - q, reserved = reserved + q, version = version + 1
    where id = r and available >= q returning available, reserved into a, v;
  if not found then
    raise exception 'insufficient_stock';
  end if;
  insert into hold values (h, r, q, 0, now() + interval '1 hour');
  insert into movement (row_id, qty, available, reserved) values (r, q, a, v);
  return h;
end $$;
