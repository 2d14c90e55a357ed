"""Operators: one family per file, none importing another."""
