SELECT (SELECT count(*) FROM dining.household) AS households,
       (SELECT count(*) FROM dining.inhabitant) AS inhabitants,
       (SELECT count(*) FROM dining.dinner_event) AS dinners,
       (SELECT count(*) FROM dining.dinner_order) AS orders,
       (SELECT count(*) FROM dining.order_transaction) AS transactions,
       (SELECT count(*) FROM dining.dinner_cancellation) AS cancellations;
