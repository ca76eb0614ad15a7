"""Booting, editing, comparing and serialising phone states."""
