"""Plays the sources of a project: databases, APIs, files and topics that are not there."""
