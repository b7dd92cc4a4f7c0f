"""Where images are: registries, layouts and archives, each behind the same few interfaces."""
