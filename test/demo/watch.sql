-- One picture of where everything is, for the demo: a line for the stack, for HAF and for each app.
--   psql -v replay=20000 -f test/demo/watch.sql
WITH s AS MATERIALIZED (SELECT hafstack.status() AS doc),
phase AS (
    SELECT name, ord FROM unnest('{registered,index_build,index_built,app_setup,setup_done,app_sync,live,serving}'::text[])
        WITH ORDINALITY AS p (name, ord)),
app AS (
    SELECT a.value AS doc, a.ordinality AS place FROM s, jsonb_array_elements(s.doc->'apps') WITH ORDINALITY AS a),
head AS (
    SELECT greatest((doc->'haf'->>'irreversible_block')::numeric, 0) AS block FROM s),
bar AS (
    SELECT 0 AS place, coalesce(block, 0) / greatest(:replay, block) AS part FROM head
    UNION ALL
    SELECT place, coalesce((a.doc->>'current_block')::numeric / nullif(h.block, 0), 0) FROM app AS a, head AS h),
drawn AS (
    SELECT place, rpad(repeat('#', least(part * 20, 20)::int), 20, '.') AS bar, to_char(least(part, 1) * 100, '990') || ' %' AS percent
    FROM bar)
SELECT line FROM (
    SELECT -1 AS place, format('stack      %-12s %s', s.doc->>'phase', coalesce(s.doc->>'waiting_for', '')) AS line FROM s
    UNION ALL
    SELECT 0, format('HAF        %-12s [%s]%s  block %s  %s', coalesce(s.doc->'haf'->>'state', '-'), bar, percent,
        coalesce(nullif(s.doc->'haf'->>'irreversible_block', '-1'), '-'), coalesce(s.doc->'haf'->>'waiting_for', 'live'))
    FROM s, drawn WHERE place = 0
    UNION ALL
    SELECT a.place, format('%-10s %-12s [%s]%s  %s  %s', a.doc->>'name', a.doc->>'phase', bar, percent,
        repeat('*', p.ord::int) || repeat('-', 8 - p.ord::int),
        coalesce(a.doc->>'error', a.doc->>'waiting_for', 'done')
        || coalesce('  (' || round((a.doc->>'blocks_per_second')::numeric) || ' blocks/s'
            || coalesce(', ' || round(extract(epoch FROM (nullif(a.doc->>'eta', '00:00:00'))::interval)) || ' s to go', '') || ')', ''))
    FROM app AS a JOIN phase AS p ON p.name = a.doc->>'phase' JOIN drawn AS d ON d.place = a.place) AS lines
ORDER BY place;
