-- Which device key a machine's certificates are for (hex of its SHA-256; empty for a machine that came before this was
-- kept), why a machine is held, and the two together with its revocation as one word.
ALTER TABLE fleet_machine ADD COLUMN device_key TEXT NOT NULL DEFAULT '';
ALTER TABLE fleet_machine ADD COLUMN held TEXT;
ALTER TABLE fleet_machine ADD COLUMN access TEXT NOT NULL GENERATED ALWAYS AS
    (CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN held IS NOT NULL THEN 'held' ELSE 'allowed' END) VIRTUAL;
CREATE INDEX fleet_machine_device_key ON fleet_machine (device_key);
-- The machine whose place the bearer takes.
ALTER TABLE join_token ADD COLUMN machine TEXT;
