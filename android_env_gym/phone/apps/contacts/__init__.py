"""Contacts: people, favourites, details, editing. It feeds the contacts provider."""
