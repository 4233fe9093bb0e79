-- Schema hive: the functions that hived and the apps call.  HAF's update drops it and makes it anew, so nothing that has to
-- last may live here.
CREATE SCHEMA hive;

CREATE DOMAIN hive.contexts_group AS hafd.context_name[] NOT NULL CONSTRAINT non_empty_contexts_group
    CHECK (cardinality(value) > 0);

-- What state HAF is in ------------------------------------------------------------------------------------------------
CREATE FUNCTION hive.get_sync_state() RETURNS hafd.sync_state LANGUAGE sql STABLE AS
    'SELECT state FROM hafd.hive_state';

CREATE FUNCTION hive.set_sync_state(_new_state hafd.sync_state) RETURNS void LANGUAGE sql VOLATILE AS
    'UPDATE hafd.hive_state SET state = _new_state';

CREATE FUNCTION hive.is_pruning_enabled() RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT coalesce((SELECT pruning > 0 FROM hafd.hive_state), false)';

CREATE FUNCTION hive.is_instance_ready() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM hafd.events_queue)
       AND (hive.is_pruning_enabled()
            OR NOT EXISTS (SELECT FROM hafd.indexes_constraints WHERE 0 = ANY (contexts) AND status <> 'created'))
$$;

-- A name without a context is ignored, as HAF does it; where none of them exists the answer is false.
CREATE FUNCTION hive.is_app_in_sync(_contexts hive.contexts_group) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(a.is_attached AND s.consistent_block - c.current_block_num <= 1), false)
    FROM hafd.contexts c JOIN hafd.contexts_attachment a ON a.context_id = c.id CROSS JOIN hafd.hive_state s
    WHERE c.name = ANY (_contexts)
$$;

CREATE FUNCTION hive.is_app_in_sync(_context hafd.context_name) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT hive.is_app_in_sync(ARRAY[_context]::hive.contexts_group)';

-- Contexts ------------------------------------------------------------------------------------------------------------
CREATE FUNCTION hive.can_impersonate(_role_to_check text, _required_role text) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT _role_to_check = _required_role OR pg_has_role(_role_to_check, _required_role, ''MEMBER'')';

CREATE FUNCTION hive.app_context_exists(_name text) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT EXISTS (SELECT FROM hafd.contexts WHERE name = _name)';

CREATE FUNCTION hive.app_create_context(_name hafd.context_name, _schema text, _is_forking boolean DEFAULT true,
                                        _is_attached boolean DEFAULT true)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    new_id integer;
BEGIN
    IF _name !~ '^[a-zA-Z0-9_]+$' THEN
        RAISE EXCEPTION 'context name "%" is not made of letters, digits and underscores', _name;
    END IF;
    EXECUTE format('CREATE TABLE %I.%I (hive_rowid bigserial)', _schema, _name);
    INSERT INTO hafd.contexts (name, schema, current_block_num, irreversible_block, events_id, fork_id, owner, is_forking,
                               last_active_at, baseclass_id)
    SELECT _name, _schema, 0, coalesce((SELECT consistent_block FROM hafd.hive_state), 0),
           (SELECT min(id) FROM hafd.events_queue), (SELECT max(id) FROM hafd.fork), current_user, _is_forking,
           now(), format('%I.%I', _schema, _name)::regclass
    RETURNING id INTO new_id;
    INSERT INTO hafd.contexts_attachment VALUES (new_id, _is_attached, current_user);
END
$$;

CREATE FUNCTION hive.app_remove_context(_name hafd.context_name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone hafd.contexts;
BEGIN
    SELECT * INTO gone FROM hafd.contexts WHERE name = _name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'context "%" does not exist', _name;
    END IF;
    DELETE FROM hafd.contexts_attachment WHERE context_id = gone.id;
    DELETE FROM hafd.contexts WHERE id = gone.id;
    EXECUTE format('DROP TABLE IF EXISTS %I.%I', gone.schema, _name);
END
$$;

CREATE FUNCTION hive.app_context_attach(_context hafd.context_name) RETURNS void LANGUAGE sql AS $$
    UPDATE hafd.contexts_attachment SET is_attached = true
    WHERE context_id = (SELECT id FROM hafd.contexts WHERE name = _context)
$$;

CREATE FUNCTION hive.app_context_detach(_context hafd.context_name) RETURNS void LANGUAGE sql AS $$
    UPDATE hafd.contexts_attachment SET is_attached = false
    WHERE context_id = (SELECT id FROM hafd.contexts WHERE name = _context)
$$;

CREATE FUNCTION hive.app_context_is_attached(_context hafd.context_name) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT is_attached FROM hafd.contexts_attachment JOIN hafd.contexts ON id = context_id WHERE name = _context';

CREATE FUNCTION hive.app_get_current_block_num(_context_name hafd.context_name) RETURNS integer LANGUAGE sql STABLE AS
    'SELECT current_block_num FROM hafd.contexts WHERE name = _context_name';

CREATE FUNCTION hive.app_set_current_block_num(_context hafd.context_name, _block_num integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hafd.contexts SET current_block_num = _block_num, last_active_at = now(),
        irreversible_block = (SELECT coalesce(consistent_block, 0) FROM hafd.hive_state)
    WHERE name = _context;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'context "%" does not exist', _context;
    END IF;
END
$$;

-- Indexes -------------------------------------------------------------------------------------------------------------
CREATE FUNCTION hive.register_index_dependency(_context_name text, _create_index_command text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    context integer := (SELECT id FROM hafd.contexts WHERE name = _context_name);
    part text[] := regexp_match(_create_index_command,
        '^\s*create\s+(?:unique\s+)?index\s+(?:if\s+not\s+exists\s+)?(\w+)\s+on\s+(\w+\.\w+)', 'i');
BEGIN
    IF context IS NULL THEN
        RAISE EXCEPTION 'context "%" does not exist', _context_name;
    ELSIF part IS NULL THEN
        RAISE EXCEPTION 'not a CREATE INDEX command: %', _create_index_command;
    END IF;
    INSERT INTO hafd.indexes_constraints AS i
    VALUES (part[2], part[1], lower(regexp_replace(_create_index_command, '\s+', ' ', 'g')), false, true, false,
            ARRAY[context], 'missing')
    ON CONFLICT (table_name, index_constraint_name) DO UPDATE
        SET contexts = i.contexts || context WHERE NOT context = ANY (i.contexts);
END
$$;

CREATE FUNCTION hive.check_if_registered_indexes_created(_app_context text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT FROM hafd.indexes_constraints
        WHERE status <> 'created' AND (SELECT id FROM hafd.contexts WHERE name = _app_context) = ANY (contexts))
$$;

-- Write down and drop what slows a massive sync; what is there is found in the catalogs, so indexes that apps made on the
-- empty tables are in it.
CREATE FUNCTION hive.save_and_drop_foreign_keys(_table_schema text, _table_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target text := _table_schema || '.' || _table_name;
    found record;
BEGIN
    FOR found IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
                 WHERE conrelid = target::regclass AND contype = 'f' LOOP
        INSERT INTO hafd.indexes_constraints
        VALUES (target, found.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', target, found.conname, found.definition),
                false, false, true, '{0}', 'missing')
        ON CONFLICT (table_name, index_constraint_name) DO UPDATE SET status = 'missing';
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', target, found.conname);
    END LOOP;
END
$$;

CREATE FUNCTION hive.save_and_drop_indexes_constraints(_schema text, _table text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target text := _schema || '.' || _table;
    found record;
BEGIN
    FOR found IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
                 WHERE conrelid = target::regclass AND contype IN ('p', 'u') LOOP
        INSERT INTO hafd.indexes_constraints
        VALUES (target, found.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', target, found.conname, found.definition),
                true, false, false, '{0}', 'missing')
        ON CONFLICT (table_name, index_constraint_name) DO UPDATE SET status = 'missing';
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', target, found.conname);
    END LOOP;
    FOR found IN SELECT indexrelid::regclass AS name, relname, pg_get_indexdef(indexrelid) AS definition
                 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = target::regclass LOOP
        INSERT INTO hafd.indexes_constraints
        VALUES (target, found.relname, found.definition, false, true, false, '{0}', 'missing')
        ON CONFLICT (table_name, index_constraint_name) DO UPDATE SET status = 'missing';
        EXECUTE format('DROP INDEX %s', found.name);
    END LOOP;
END
$$;

CREATE FUNCTION hive.disable_indexes_of_irreversible() RETURNS void LANGUAGE sql AS
    'SELECT hive.save_and_drop_indexes_constraints(''hafd'', ''blocks'')';

CREATE FUNCTION hive.disable_fk_of_irreversible() RETURNS void LANGUAGE sql AS
    'SELECT hive.save_and_drop_foreign_keys(''hafd'', ''hive_state'')';

-- One transaction a table, so nobody else ever sees `creating` here.
CREATE FUNCTION hive.restore_indexes(_table_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing text;
BEGIN
    FOR missing IN SELECT command FROM hafd.indexes_constraints
                   WHERE table_name = _table_name AND NOT is_foreign_key AND status = 'missing' LOOP
        EXECUTE missing;
        UPDATE hafd.indexes_constraints SET status = 'created' WHERE command = missing;
    END LOOP;
    EXECUTE 'ANALYZE ' || _table_name;
END
$$;

CREATE FUNCTION hive.restore_foreign_keys(_table_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing text;
BEGIN
    FOR missing IN SELECT command FROM hafd.indexes_constraints
                   WHERE table_name = _table_name AND is_foreign_key AND status = 'missing' LOOP
        EXECUTE missing;
        UPDATE hafd.indexes_constraints SET status = 'created' WHERE command = missing;
    END LOOP;
END
$$;

CREATE FUNCTION hive.enable_indexes_of_irreversible() RETURNS void LANGUAGE sql AS
    'SELECT hive.restore_indexes(''hafd.blocks'')';

CREATE FUNCTION hive.enable_fk_of_irreversible() RETURNS void LANGUAGE sql AS
    'SELECT hive.restore_foreign_keys(''hafd.hive_state'')';

-- What hived calls as it starts ---------------------------------------------------------------------------------------
CREATE FUNCTION hive.unreachable_event_id() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 9223372036854775807';

CREATE FUNCTION hive.initialize_extension_data() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM hafd.events_queue) THEN
        RETURN;
    END IF;
    INSERT INTO hafd.hive_state VALUES (1, NULL, false) ON CONFLICT DO NOTHING;
    INSERT INTO hafd.events_queue VALUES (0, 'NEW_IRREVERSIBLE', 0), (hive.unreachable_event_id(), 'NEW_BLOCK', 2147483647);
    INSERT INTO hafd.fork (block_num, time_of_fork) VALUES (1, '2016-03-24 16:05:00');
    UPDATE hafd.contexts c SET fork_id = 1, events_id = CASE WHEN a.is_attached THEN 0 ELSE hive.unreachable_event_id() END
    FROM hafd.contexts_attachment a WHERE a.context_id = c.id;
END
$$;

CREATE FUNCTION hive.is_irreversible_dirty() RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT coalesce((SELECT is_dirty FROM hafd.hive_state), false)';

CREATE FUNCTION hive.set_irreversible_dirty() RETURNS void LANGUAGE sql AS 'UPDATE hafd.hive_state SET is_dirty = true';

CREATE FUNCTION hive.set_irreversible_not_dirty() RETURNS void LANGUAGE sql AS 'UPDATE hafd.hive_state SET is_dirty = false';

CREATE FUNCTION hive.remove_inconsistent_irreversible_data() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF hive.is_irreversible_dirty() THEN
        DELETE FROM hafd.blocks WHERE num > (SELECT coalesce(consistent_block, 0) FROM hafd.hive_state);
        PERFORM hive.set_irreversible_not_dirty();
    END IF;
END
$$;

CREATE FUNCTION hive.connect(_git_sha text, _block_num integer, _first_block integer, _pruning integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hive.remove_inconsistent_irreversible_data();
    INSERT INTO hafd.hived_connections (block_num, git_sha, time) VALUES (_block_num, _git_sha, now());
    IF hive.is_pruning_enabled() AND _pruning = 0 THEN
        RAISE EXCEPTION 'a pruned database cannot be opened without pruning';
    END IF;
    UPDATE hafd.hive_state SET pruning = _pruning;
END
$$;

