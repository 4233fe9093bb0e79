-- Roles, as HAF's images make them.  They belong to the cluster, so they may be there already.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            (1, 'hive_applications_group',       'NOLOGIN'),
            (2, 'hive_applications_owner_group', 'NOLOGIN IN ROLE hive_applications_group'),
            (3, 'haf_administrators_group',      'NOLOGIN SUPERUSER CREATEDB CREATEROLE'),
            (4, 'hived_group',                   'NOLOGIN'),
            (5, 'hived',                         'LOGIN IN ROLE hived_group'),
            (6, 'haf_maintainer',                'LOGIN SUPERUSER'),
            (7, 'haf_admin',                     'LOGIN SUPERUSER CREATEDB CREATEROLE IN ROLE haf_administrators_group')
        ) AS v(place, name, options) ORDER BY place
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I WITH %s', wanted.name, wanted.options);
        END IF;
    END LOOP;
END
$$;

