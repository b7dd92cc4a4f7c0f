"""The registry over HTTP: translates requests into uses and errors into answers, and decides nothing.

Import the modules themselves: ``server`` runs applications, ``front`` is what every request passes, ``bodies``,
``ranges``, ``replies``, ``errors`` and ``observation`` are for handlers, ``ops`` is health and numbers.
"""
