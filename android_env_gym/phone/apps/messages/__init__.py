"""Messages: conversations, composing, pinning, archiving, a spam folder."""
