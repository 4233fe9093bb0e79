-- What the demo's apps have, against what the blocks say.  One row an app; ok must be true in all.  One statement, so one
-- snapshot: blocks that come in meanwhile do no harm.
SELECT 'tally' AS app, last_block,
       (blocks, sum) = (SELECT count(*), sum(num)::numeric FROM hafd.blocks WHERE num <= last_block)
       AND sum = (SELECT sum(sum) FROM tally.minute) AS ok
FROM tally.total
UNION ALL
SELECT 'digest', last_block,
       sum = (SELECT sum(get_byte(hash, i)) FROM hafd.blocks, generate_series(0, 19) AS i WHERE num <= last_block)
       AND sum = (SELECT sum(sum) FROM digest.minute)
FROM digest.total
UNION ALL
SELECT 'explorer', max(last_block),
       sum(sum) = (SELECT sum(num) FROM hafd.blocks WHERE num <= (SELECT max(last_block) FROM explorer.producer))
       AND count(*) = 21
FROM explorer.producer;
