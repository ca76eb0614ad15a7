"""The embedded phone as a genuine ADB device: wire protocol, shell, files, uiautomator2 server."""
