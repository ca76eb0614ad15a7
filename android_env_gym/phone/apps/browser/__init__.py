"""The web browser: address bar, tabs, bookmarks, history, over the phone's own web (`phone/web`)."""
