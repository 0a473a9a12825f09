"""Raw columns to publishable ones, and the audit of what was written."""
