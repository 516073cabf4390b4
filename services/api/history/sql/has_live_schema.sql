SELECT to_regnamespace('history') IS NOT NULL
