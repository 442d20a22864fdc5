"""Rows from files: one strict reader of CSV, JSON lines, Parquet and Delta."""
