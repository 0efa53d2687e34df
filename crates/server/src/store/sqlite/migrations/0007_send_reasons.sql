-- Why a message was not sent, by the id of its sentence: null where there is none.

ALTER TABLE notify_delivery ADD COLUMN why TEXT;
ALTER TABLE notify_channel ADD COLUMN last_why TEXT;
