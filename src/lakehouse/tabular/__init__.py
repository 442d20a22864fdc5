"""Rows from files: one strict reading of CSV, JSON lines, Parquet and Delta, for every reader."""
