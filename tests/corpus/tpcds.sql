-- TPC-DS: queries of the benchmark's specification, by their numbers, with values of our own.

-- q3
select dt.d_year, item.i_brand_id brand_id, item.i_brand brand, sum(ss_ext_sales_price) sum_agg
from date_dim dt, store_sales, item
where dt.d_date_sk = store_sales.ss_sold_date_sk and store_sales.ss_item_sk = item.i_item_sk
    and item.i_manufact_id = 128 and dt.d_moy = 11
group by dt.d_year, item.i_brand, item.i_brand_id
order by dt.d_year, sum_agg desc, brand_id
limit 100;

-- q5
with ssr as (
    select s_store_id, sum(sales_price) as sales, sum(profit) as profit, sum(return_amt) as returns,
        sum(net_loss) as profit_loss
    from (
        select ss_store_sk as store_sk, ss_sold_date_sk as date_sk, ss_ext_sales_price as sales_price,
            ss_net_profit as profit, cast(0 as decimal(7, 2)) as return_amt, cast(0 as decimal(7, 2)) as net_loss
        from store_sales
        union all
        select sr_store_sk, sr_returned_date_sk, cast(0 as decimal(7, 2)), cast(0 as decimal(7, 2)), sr_return_amt,
            sr_net_loss
        from store_returns
    ) salesreturns, date_dim, store
    where date_sk = d_date_sk and d_date between cast('2000-08-23' as date) and cast('2000-09-06' as date)
        and store_sk = s_store_sk
    group by s_store_id
)
select channel, id, sum(sales) as sales, sum(returns) as returns, sum(profit) as profit
from (
    select 'store channel' as channel, 'store' || s_store_id as id, sales, returns, (profit - profit_loss) as profit
    from ssr
) x
group by rollup (channel, id)
order by channel, id
limit 100;

-- q12
select i_item_id, i_item_desc, i_category, i_class, i_current_price, sum(ws_ext_sales_price) as itemrevenue,
    sum(ws_ext_sales_price) * 100 / sum(sum(ws_ext_sales_price)) over (partition by i_class) as revenueratio
from web_sales, item, date_dim
where ws_item_sk = i_item_sk and i_category in ('Sports', 'Books', 'Home') and ws_sold_date_sk = d_date_sk
    and d_date between cast('1999-02-22' as date) and (cast('1999-02-22' as date) + interval '30' day)
group by i_item_id, i_item_desc, i_category, i_class, i_current_price
order by i_category, i_class, i_item_id, i_item_desc, revenueratio
limit 100;

-- q22
select i_product_name, i_brand, i_class, i_category, avg(inv_quantity_on_hand) qoh
from inventory, date_dim, item
where inv_date_sk = d_date_sk and inv_item_sk = i_item_sk and d_month_seq between 1200 and 1200 + 11
group by rollup (i_product_name, i_brand, i_class, i_category)
order by qoh, i_product_name, i_brand, i_class, i_category
limit 100;

-- q27
select i_item_id, s_state, grouping(s_state) g_state, avg(ss_quantity) agg1, avg(ss_list_price) agg2
from store_sales, customer_demographics, date_dim, store, item
where ss_sold_date_sk = d_date_sk and ss_item_sk = i_item_sk and ss_store_sk = s_store_sk and ss_cdemo_sk = cd_demo_sk
    and cd_gender = 'M' and cd_marital_status = 'S' and d_year = 2002 and s_state in ('TN', 'SD')
group by rollup (i_item_id, s_state)
order by i_item_id, s_state
limit 100;

-- q36
select sum(ss_net_profit) / sum(ss_ext_sales_price) as gross_margin, i_category, i_class,
    grouping(i_category) + grouping(i_class) as lochierarchy,
    rank() over (
        partition by grouping(i_category) + grouping(i_class), case when grouping(i_class) = 0 then i_category end
        order by sum(ss_net_profit) / sum(ss_ext_sales_price) asc
    ) as rank_within_parent
from store_sales, date_dim d1, item, store
where d1.d_year = 2001 and d1.d_date_sk = ss_sold_date_sk and i_item_sk = ss_item_sk and s_store_sk = ss_store_sk
group by rollup (i_category, i_class)
order by lochierarchy desc, case when lochierarchy = 0 then i_category end, rank_within_parent
limit 100;

-- q38
select count(*) from (
    select distinct c_last_name, c_first_name, d_date
    from store_sales, date_dim, customer
    where store_sales.ss_sold_date_sk = date_dim.d_date_sk and store_sales.ss_customer_sk = customer.c_customer_sk
    intersect
    select distinct c_last_name, c_first_name, d_date
    from web_sales, date_dim, customer
    where web_sales.ws_sold_date_sk = date_dim.d_date_sk and web_sales.ws_bill_customer_sk = customer.c_customer_sk
) hot_cust
limit 100;

-- q47
with v1 as (
    select i_category, i_brand, s_store_name, d_year, d_moy, sum(ss_sales_price) sum_sales,
        avg(sum(ss_sales_price)) over (partition by i_category, i_brand, s_store_name, d_year) avg_monthly_sales,
        rank() over (partition by i_category, i_brand, s_store_name order by d_year, d_moy) rn
    from item, store_sales, date_dim, store
    where ss_item_sk = i_item_sk and ss_sold_date_sk = d_date_sk and ss_store_sk = s_store_sk and d_year = 1999
    group by i_category, i_brand, s_store_name, d_year, d_moy
), v2 as (
    select v1.*, v1_lag.sum_sales psum, v1_lead.sum_sales nsum
    from v1, v1 v1_lag, v1 v1_lead
    where v1.i_category = v1_lag.i_category and v1.i_category = v1_lead.i_category
        and v1.rn = v1_lag.rn + 1 and v1.rn = v1_lead.rn - 1
)
select * from v2
where d_year = 1999 and avg_monthly_sales > 0
    and case when avg_monthly_sales > 0 then abs(sum_sales - avg_monthly_sales) / avg_monthly_sales else null end > 0.1
order by sum_sales - avg_monthly_sales, nsum
limit 100;

-- q51
with web_v1 as (
    select ws_item_sk item_sk, d_date,
        sum(sum(ws_sales_price)) over (
            partition by ws_item_sk order by d_date rows between unbounded preceding and current row
        ) cume_sales
    from web_sales, date_dim
    where ws_sold_date_sk = d_date_sk and ws_item_sk is not null
    group by ws_item_sk, d_date
), store_v1 as (
    select ss_item_sk item_sk, d_date, sum(ss_sales_price) cume_sales
    from store_sales, date_dim
    where ss_sold_date_sk = d_date_sk
    group by ss_item_sk, d_date
)
select *
from (
    select case when web.item_sk is not null then web.item_sk else store.item_sk end item_sk,
        web.cume_sales web_sales, store.cume_sales store_sales
    from web_v1 web full outer join store_v1 store on web.item_sk = store.item_sk and web.d_date = store.d_date
) x
where web_sales > store_sales
order by item_sk
limit 100;

-- q67
select * from (
    select i_category, i_class, i_brand, d_year, d_qoy, sumsales,
        rank() over (partition by i_category order by sumsales desc) rk
    from (
        select i_category, i_class, i_brand, d_year, d_qoy, sum(coalesce(ss_sales_price * ss_quantity, 0)) sumsales
        from store_sales, date_dim, store, item
        where ss_sold_date_sk = d_date_sk and ss_item_sk = i_item_sk and ss_store_sk = s_store_sk
        group by rollup (i_category, i_class, i_brand, d_year, d_qoy)
    ) dw1
) dw2
where rk <= 100
order by i_category, rk
limit 100;

-- q87
select count(*) from (
    (select distinct c_last_name, c_first_name from store_sales, customer where ss_customer_sk = c_customer_sk)
    except
    (select distinct c_last_name, c_first_name from web_sales, customer where ws_bill_customer_sk = c_customer_sk)
) cool_cust;

-- q96
select count(*)
from store_sales, household_demographics, time_dim, store
where ss_sold_time_sk = time_dim.t_time_sk and ss_hdemo_sk = household_demographics.hd_demo_sk
    and ss_store_sk = s_store_sk and time_dim.t_hour = 20 and time_dim.t_minute >= 30
    and household_demographics.hd_dep_count = 7 and store.s_store_name = 'ese'
order by count(*)
limit 100;
