-- Certificates of the machine that were issued before are refused: a device was let in as this machine then, and who used
-- its identity before may have kept one.
ALTER TABLE fleet_machine ADD COLUMN certified_from INTEGER;
