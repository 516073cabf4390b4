SELECT count(*) AS households,
       count(*) FILTER (WHERE NOT EXISTS (SELECT FROM pg_temp.present_location p WHERE p.heynabo_id = h.heynabo_id))
           AS leaving
FROM dining.household h;
