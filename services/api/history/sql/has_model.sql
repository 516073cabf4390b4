SELECT EXISTS (
    SELECT FROM information_schema.columns
    WHERE table_schema = 'history' AND table_name = 'checkpoint' AND column_name = 'model'
)
