SELECT account.id, account.name, account.role, account.created_at,
    (SELECT count(*) FROM access.session WHERE session.account_id = account.id AND session.expires_at > now()) AS sessions
FROM access.account
ORDER BY account.name
