"""Rows that lie elsewhere: files, queries and blocks, decoded once."""
