WITH deleted AS (
    DELETE FROM dining.inhabitant i
    WHERE NOT EXISTS (SELECT FROM pg_temp.present_user p WHERE p.heynabo_id = i.heynabo_id)
    RETURNING i.id
)
SELECT count(*) FROM deleted;
