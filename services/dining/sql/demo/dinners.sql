-- $1 the season, $2 [{"starts_at": ..., "state": ..., "menu_title": ...}, ...]
INSERT INTO dining.dinner_event (season_id, starts_at, state, menu_title)
SELECT $1, d.starts_at, d.state, d.menu_title
FROM jsonb_to_recordset($2::jsonb) AS d (starts_at timestamptz, state text, menu_title text)
ORDER BY d.starts_at;
