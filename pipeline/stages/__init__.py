"""The five stages: each reads parameters and files, calls the library, and writes files."""
