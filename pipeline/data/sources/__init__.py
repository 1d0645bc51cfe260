"""Where raw tables come from: text, Parquet, workbooks, packed or in several files."""
