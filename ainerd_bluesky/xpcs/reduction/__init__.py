"""A whole run, from frames or archived maps to what is published."""
