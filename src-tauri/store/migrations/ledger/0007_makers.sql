-- What an access token or a login was made by, and ends with; nothing where that was the captain on
-- this machine, or was not kept yet.

ALTER TABLE tokens ADD COLUMN made_by TEXT;
ALTER TABLE logins ADD COLUMN made_by BLOB;
