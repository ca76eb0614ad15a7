"""The phone's own small web: pages are pure functions of a request; nothing here touches a network."""
