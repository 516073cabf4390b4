-- Whether nothing would be overwritten or mixed with a made-up community.
SELECT NOT EXISTS (SELECT FROM dining.season)
   AND NOT EXISTS (SELECT FROM dining.household)
