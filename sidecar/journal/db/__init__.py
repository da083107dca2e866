"""The journal's file: opening, tables, transactions, damage."""
