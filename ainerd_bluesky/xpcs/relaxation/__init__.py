"""Rates from maps and g2: fits with honest errors, and how they change with age."""
