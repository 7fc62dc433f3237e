"""Adapters for programs that run other people's code in pools or workers of their own.

Each file is for one program, is imported by that program, and imports it; fibril itself imports
none of them. Do not add: what a program gets from the patch alone.
"""
