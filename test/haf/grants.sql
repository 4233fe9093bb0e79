-- Who may what, as in HAF: hived's group owns the block tables, the apps' group reads them and keeps its contexts, each
-- owner its own (row-level security).  The policies need hive.can_impersonate(), so HAF's update loses and remakes them.
ALTER TABLE hafd.blocks OWNER TO hived_group;
ALTER TABLE hafd.blocks_reversible OWNER TO hived_group;
ALTER TABLE hafd.hive_state OWNER TO hived_group;

GRANT ALL ON SCHEMA hafd, hive TO hived_group, hive_applications_group;
GRANT ALL ON ALL SEQUENCES IN SCHEMA hafd TO hived_group, hive_applications_group;
GRANT ALL ON ALL TABLES IN SCHEMA hafd TO hived_group;
GRANT SELECT ON ALL TABLES IN SCHEMA hafd TO hive_applications_group;
GRANT ALL ON hafd.contexts, hafd.contexts_attachment TO hive_applications_group;
GRANT ALL ON hafd.contexts TO haf_maintainer;
GRANT SELECT ON hafd.contexts_attachment, hafd.indexes_constraints TO haf_maintainer;

ALTER TABLE hafd.contexts ENABLE ROW LEVEL SECURITY;
ALTER TABLE hafd.contexts_attachment ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY '{contexts,contexts_attachment}'::text[] LOOP
        EXECUTE format('DROP POLICY IF EXISTS insert_own ON hafd.%I', target);
        EXECUTE format('CREATE POLICY insert_own ON hafd.%I FOR INSERT WITH CHECK (current_user = owner)', target);
        EXECUTE format('DROP POLICY IF EXISTS read_all ON hafd.%I', target);
        EXECUTE format('CREATE POLICY read_all ON hafd.%I FOR SELECT TO hived_group, hive_applications_group USING (true)',
                       target);
        EXECUTE format('DROP POLICY IF EXISTS update_own ON hafd.%I', target);
        EXECUTE format('CREATE POLICY update_own ON hafd.%I FOR UPDATE TO hive_applications_group
                        USING (true) WITH CHECK (hive.can_impersonate(current_user, owner))', target);
        EXECUTE format('DROP POLICY IF EXISTS delete_own ON hafd.%I', target);
        EXECUTE format('CREATE POLICY delete_own ON hafd.%I FOR DELETE TO hive_applications_group
                        USING (hive.can_impersonate(current_user, owner))', target);
    END LOOP;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA hive FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hive TO hived_group, hive_applications_group;
REVOKE EXECUTE ON FUNCTION hive.initialize_extension_data(), hive.connect(text, integer, integer, integer)
    FROM hive_applications_group;
GRANT EXECUTE ON FUNCTION hive.is_instance_ready(), hive.is_pruning_enabled() TO haf_maintainer;
GRANT USAGE ON SCHEMA hive TO haf_maintainer;
