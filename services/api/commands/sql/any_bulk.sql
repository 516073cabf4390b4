-- Whether there is anything to do: asked far more often than there is.
SELECT EXISTS (SELECT FROM command.bulk WHERE ended_at IS NULL)
