-- Nothing: SQLite's planner takes the index that answers most of a condition, with statistics or without.
SELECT 1;
