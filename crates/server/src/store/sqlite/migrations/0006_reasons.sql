-- Why something was skipped, refused or failed, by the id of its sentence: null where there is none.

ALTER TABLE scan ADD COLUMN why TEXT;
ALTER TABLE scan_item ADD COLUMN why TEXT;
ALTER TABLE response ADD COLUMN why TEXT;
ALTER TABLE finding_history ADD COLUMN why TEXT;
