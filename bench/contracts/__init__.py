"""The ground everything else stands on: nouns, the form of a reply, plugins and how they are found, the wall, recipes.

Knows no model, no file format and no score; imports no other room.
"""
