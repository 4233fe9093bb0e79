-- HAF's update: everything in schema hive goes, with whatever anybody hung onto it, and is made anew.
DROP SCHEMA hive CASCADE;
