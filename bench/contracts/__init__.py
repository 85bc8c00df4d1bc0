"""What everything else agrees on: nouns, how a reply is written, what a plugin is and how it is found, the wall, recipes.

Knows no model, no file format and no score; imports no other room.
"""
