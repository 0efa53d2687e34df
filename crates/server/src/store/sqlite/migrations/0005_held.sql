-- How many files are isolated and how many addresses are refused right now, counted in the
-- transaction that changes one.

INSERT INTO counter (name, value)
    SELECT 'isolated', count(*) FROM isolated_file WHERE state = 'isolated';
INSERT INTO counter (name, value)
    SELECT 'blocked', count(*) FROM blocked_address WHERE state = 'active';

CREATE TRIGGER isolated_in AFTER INSERT ON isolated_file WHEN NEW.state = 'isolated' BEGIN
    UPDATE counter SET value = value + 1 WHERE name = 'isolated';
END;
CREATE TRIGGER isolated_changed AFTER UPDATE OF state ON isolated_file BEGIN
    UPDATE counter SET value = value + (NEW.state = 'isolated') - (OLD.state = 'isolated')
        WHERE name = 'isolated';
END;
CREATE TRIGGER isolated_out AFTER DELETE ON isolated_file WHEN OLD.state = 'isolated' BEGIN
    UPDATE counter SET value = value - 1 WHERE name = 'isolated';
END;

CREATE TRIGGER blocked_in AFTER INSERT ON blocked_address WHEN NEW.state = 'active' BEGIN
    UPDATE counter SET value = value + 1 WHERE name = 'blocked';
END;
CREATE TRIGGER blocked_changed AFTER UPDATE OF state ON blocked_address BEGIN
    UPDATE counter SET value = value + (NEW.state = 'active') - (OLD.state = 'active')
        WHERE name = 'blocked';
END;
CREATE TRIGGER blocked_out AFTER DELETE ON blocked_address WHEN OLD.state = 'active' BEGIN
    UPDATE counter SET value = value - 1 WHERE name = 'blocked';
END;
