"""Results as charts, tables and one self-contained HTML page. Knows no model; the page loads nothing."""
