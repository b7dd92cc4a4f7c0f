"""A small application on the real server, and a client that says exactly what it is told to."""
