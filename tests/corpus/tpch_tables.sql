-- The tables of TPC-H, with some rows of the kinds that its queries ask for.
create table region as
select i as r_regionkey, ['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'][i + 1] as r_name, '' as r_comment
from range(5) as t (i);

create table nation as
select i as n_nationkey, i % 5 as n_regionkey, '' as n_comment,
    ['FRANCE', 'GERMANY', 'BRAZIL', 'CANADA', 'SAUDI ARABIA', 'JAPAN', 'INDIA'][i + 1] as n_name
from range(7) as t (i);

create table supplier as
select i as s_suppkey, 'Supplier#' || i as s_name, 'address ' || i as s_address, i % 7 as s_nationkey,
    '13-' || i as s_phone, i * 10.5 as s_acctbal, 'comment' as s_comment
from range(20) as t (i);

create table customer as
select i as c_custkey, 'Customer#' || i as c_name, 'address ' || i as c_address, i % 7 as c_nationkey,
    (13 + i % 20) || '-555' as c_phone, i * 3.25 as c_acctbal, 'comment' as c_comment,
    ['BUILDING', 'AUTOMOBILE'][i % 2 + 1] as c_mktsegment
from range(60) as t (i);

create table part as
select i as p_partkey, ['forest green', 'green', 'red'][i % 3 + 1] as p_name, 'Manufacturer' as p_mfgr,
    'Brand#' || [12, 23, 34, 45][i % 4 + 1] as p_brand, case i % 3 when 1 then 15 else i % 50 end as p_size, i * 1.5 as p_retailprice, '' as p_comment,
    ['ECONOMY ANODIZED STEEL', 'PROMO BRASS', 'MEDIUM POLISHED TIN'][i % 3 + 1] as p_type,
    ['SM CASE', 'MED BOX', 'LG BOX'][i % 3 + 1] as p_container
from range(60) as t (i);

create table partsupp as
select p_partkey as ps_partkey, s_suppkey as ps_suppkey, 1000 + p_partkey as ps_availqty, s_suppkey * 1.25 as ps_supplycost,
    '' as ps_comment
from part, supplier
where (p_partkey + s_suppkey) % 4 = 0;

create table orders as
select i as o_orderkey, i % 50 as o_custkey, ['F', 'O'][i // 2 % 2 + 1] as o_orderstatus, i * 100.0 as o_totalprice,
    date '1992-01-01' + (i * 7)::integer as o_orderdate, ['1-URGENT', '2-HIGH', '3-MEDIUM'][i % 3 + 1] as o_orderpriority,
    'Clerk' as o_clerk, 0 as o_shippriority, 'comment' as o_comment
from range(350) as t (i);

create table lineitem as
select o_orderkey as l_orderkey, ps_partkey as l_partkey, ps_suppkey as l_suppkey, line as l_linenumber,
    (o_orderkey * 13 + line * 29) % 50 + 80 * (o_orderkey % 9 = 0)::integer as l_quantity,
    (o_orderkey + line) * 11.5 as l_extendedprice, (o_orderkey % 11) / 100 as l_discount, 0.02 as l_tax,
    ['R', 'A', 'N'][o_orderkey % 3 + 1] as l_returnflag, ['O', 'F'][line % 2 + 1] as l_linestatus,
    o_orderdate + (10 + line)::integer as l_shipdate, o_orderdate + 20 as l_commitdate,
    o_orderdate + (15 + 10 * ((o_orderkey + line) % 7 = 0)::integer)::integer as l_receiptdate, 'DELIVER IN PERSON' as l_shipinstruct,
    ['MAIL', 'SHIP', 'AIR'][line % 3 + 1] as l_shipmode, '' as l_comment
from orders, range(6) as t (line), partsupp
where ps_partkey = (o_orderkey * 7 + line * 11) % 60 and ps_suppkey = (4 - ps_partkey % 4) % 4 + 4 * (line % 4);
